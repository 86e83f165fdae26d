// What the suites share: the server under test, recording receivers, and the page's snippets.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const Module = require('node:module');
const net = require('node:net');
const path = require('node:path');
const { once } = require('node:events');
const { randomInt } = require('node:crypto');

const PAGE = path.join(__dirname, '..', 'page');
const PAGE_BASE = 'https://staging.isao.io/api/external';

// For whatever has to happen in the end: generous, since machines are busy.
const PATIENCE_MS = 30_000;

function setting(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; see tests/clients/README.md`);
  return value;
}

const BASE = `${setting('ISAO_URL')}/api/external`;
const KEY = setting('ISAO_KEY');

/** A request with the key; the status and the parsed body. */
async function api(method, route, body) {
  const response = await fetch(BASE + route, {
    method,
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

/** Like `api`, for when it must succeed; only the data. */
async function data(method, route, body) {
  const answer = await api(method, route, body);
  if (answer.status >= 300) {
    throw new Error(`${method} ${route}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }
  return answer.body.data;
}

/** A phone number that no other test has. */
const phone = () => `+33${randomInt(1e9, 9e9)}`;

/** Waits until `check` answers something. */
async function eventually(what, check) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`${what} did not happen within ${PATIENCE_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A receiver on loopback that records what arrives; it ends with the test `t`. */
async function receiver(t) {
  const received = [];
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    received.push({ headers: request.headers, body: Buffer.concat(chunks) });
    response.end('ok');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${server.address().port}/hook`,
    received,
    /** Waits for the delivery about this contact or deal. */
    about: (id) =>
      eventually(`the delivery about ${id}`, () =>
        received.find((delivery) => JSON.parse(delivery.body).data.id === id),
      ),
  };
}

/** Subscribes for the length of the test `t`. */
async function subscribe(t, event, targetUrl) {
  const subscription = await data('POST', '/webhooks/subscribe', { event, target_url: targetUrl });
  t.after(() => api('DELETE', '/webhooks/unsubscribe', { subscription_id: subscription.subscription_id }));
  return subscription;
}

/** A port that was free a moment ago. */
async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Whether something accepts connections there. */
const listening = (port) =>
  new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => resolve(false));
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });

/** A snippet of the page, with the server under test in place of the page's. */
const snippet = (name) => fs.readFileSync(path.join(PAGE, name), 'utf8').replaceAll(PAGE_BASE, BASE);

/** What a snippet that is a CommonJS module exports, or the constant that it defines. */
function load(name, constant) {
  const module = new Module(path.join(PAGE, name));
  module._compile(snippet(name) + (constant ? `\nmodule.exports = ${constant};` : ''), module.id);
  return module.exports;
}

module.exports = { BASE, KEY, api, data, eventually, freePort, listening, load, phone, receiver, snippet, subscribe };
