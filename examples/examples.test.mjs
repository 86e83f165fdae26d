// Tries every example against a real server: the receivers get each event once whatever is repeated and refuse
// what is not signed, and the mirror equals the CRM however often it is killed. See `run`.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startServer } from '../integrations/server.mjs';

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
/** For whatever has to happen in the end: generous, since machines are busy. */
const PATIENCE_MS = 60_000;

/** How each receiver is started, and how its events are kept. */
const RECEIVERS = {
  express: { command: ['node', 'receiver.js'], kept: lines },
  fastify: { command: ['node', 'receiver.js'], kept: files },
  flask: { command: ['.venv/bin/python', 'receiver.py'], kept: rows, counts: true },
  fastapi: { command: ['.venv/bin/python', 'receiver.py'], kept: rows, counts: true },
  shell: {
    command: (port) => ['socat', `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork`, 'EXEC:./receive'],
    kept: files,
    skip: spawnSync('socat', ['-V']).error && 'socat is not installed',
  },
  rust: {
    command: [process.env.RUST_RECEIVER],
    kept: rows,
    counts: true,
    skip: process.env.RUST_RECEIVER ? false : 'only with --rust',
  },
};

let server;
let directory;

before(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'isao-examples-'));
  server = await startServer(process.env.ISAO_BIN, ['--retry-delays', '100ms,200ms,500ms']);
});
after(async () => {
  await server?.stop();
  rmSync(directory, { recursive: true, force: true });
});

for (const [name, receiver] of Object.entries(RECEIVERS)) {
  test(`${name} keeps each event once, and nothing that is not signed`, { skip: receiver.skip }, async (t) => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/webhook/isao`;
    const store = path.join(directory, name);
    const subscription = await data('POST', '/webhooks/subscribe', { event: 'contact.*', target_url: url });
    t.after(() => api('DELETE', `/webhooks/${subscription.id}`));
    const start = () => program(t, receiver, name, { port, store, secret: subscription.secret });

    let running = await start();
    const contact = await data('POST', '/contacts', { name: 'Zoë Müller – 日本', phoneNumber: phone() });
    await data('PATCH', `/contacts/${contact.id}`, { city: 'Paris' });
    const sent = await eventually('two deliveries', async () => {
      const deliveries = await data('GET', `/webhooks/${subscription.id}/deliveries?state=delivered`);
      return deliveries.length === 2 && deliveries;
    });
    assert.equal(receiver.kept(store).length, 2, 'what was answered with 2xx is on disk');
    const trial = await data('POST', `/webhooks/${subscription.id}/test`);
    assert.ok(trial.delivered, JSON.stringify(trial));

    // The same events come once more, to a receiver that was killed and started again.
    running.kill('SIGKILL');
    await once(running, 'exit');
    running = await start();
    for (const { id } of sent) await data('POST', `/webhooks/deliveries/${id}/redeliver`);
    await eventually(
      () => `two repetitions; it printed ${running.printed}`,
      () => new Set(running.printed.match(/^again contact\.\w+ \w+$/gm)).size === 2,
    );

    await forge(url, subscription.secret);
    const kept = receiver.kept(store);
    assert.deepEqual(
      kept.map((event) => event.event).sort(),
      ['contact.created', 'contact.updated'],
      'each event once',
    );
    assert.ok(kept.every((event) => event.data.name === 'Zoë Müller – 日本'));
    if (receiver.counts) {
      assert.deepEqual(query(store, 'SELECT type, events FROM totals ORDER BY type'), [
        ['contact.created', 1],
        ['contact.updated', 1],
      ], 'each event is handled once');
    }
  });
}

test('the mirror equals the CRM, however often it is killed', async (t) => {
  const file = path.join(directory, 'mirror.db');
  const proxy = await forgetfulProxy(t);
  const start = () => {
    const env = { ...process.env, ISAO_URL: proxy.url, ISAO_KEY: server.key };
    const mirror = spawn('python3', [path.join(here, 'mirror.py'), file], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    mirror.printed = '';
    mirror.stdout.on('data', (chunk) => (mirror.printed += chunk));
    t.after(() => mirror.kill('SIGKILL'));
    return mirror;
  };
  const kill = async (mirror) => {
    mirror.kill('SIGKILL');
    await once(mirror, 'exit');
  };

  // There is something to copy: more than two pages, and deals of contacts that change and go.
  const contacts = await batch('/contacts/batch', 450, () => ({ name: 'Jane Smith', phoneNumber: phone() }));
  const deals = await batch('/deals/batch', 450, (n) => ({ title: `Deal ${n}`, value: 0.1 + n, contactId: contacts[n] }));

  // It is killed while it copies and while it follows; meanwhile the CRM goes on changing.
  let killing = true;
  const writer = (async () => {
    for (let n = 0; n < 120 || (killing && n < 440); n += 1) {
      await data('PATCH', `/contacts/${contacts[n]}`, { city: `City ${n}` });
      if (n % 4 === 0) await api('DELETE', `/contacts/${contacts[n]}`);
      if (n % 3 === 0) await data('PUT', `/deals/${deals[n]}/status`, { status: n % 2 ? 'won' : 'lost', stage: 'end' });
      if (n % 5 === 0) await api('DELETE', `/deals/${deals[n]}`);
      if (n % 7 === 0) await data('POST', '/deals', { title: `New ${n}`, contactId: contacts[n + 1] });
      await pause(10);
    }
  })();
  // To copy takes 7 requests. So it is killed three times while it copies, then a while after, and from then on
  // after a few pages of events; sometimes before the answer arrives and sometimes while it is applied.
  let kills = 0;
  for (const requests of [2, 4, 6, 9, 1, 2, 3, 2]) {
    const mirror = start();
    await proxy.requests(requests);
    await pause((kills % 3) * 10);
    await kill(mirror);
    kills += 1;
  }
  killing = false;
  await writer;

  let mirror = start();
  await eventually(() => `equality: ${equal.why}`, () => equal(file), 500);
  await kill(mirror);

  // A cursor that retention has passed over: it copies everything again. What was deleted meanwhile goes.
  await data('DELETE', `/contacts/${contacts[449]}`);
  await data('DELETE', `/deals/${deals[448]}`);
  proxy.forget();
  mirror = start();
  await eventually('another copy', () => mirror.printed.includes('copied all records'));
  await eventually(() => `equality: ${equal.why}`, () => equal(file), 500);
  t.diagnostic(`killed ${kills} times`);
});

/** Whether the mirror has the contacts and deals of the server, field by field. */
async function equal(file) {
  const sorted = (records) => records.sort((one, other) => (one.id < other.id ? -1 : 1));
  const contacts = sorted(query(file, 'SELECT record FROM contacts').map(([record]) => JSON.parse(record)));
  const deals = sorted(
    query(file, 'SELECT record, contact_id FROM deals').map(([record, contactId]) => {
      const { value, ...deal } = JSON.parse(record);
      return { ...deal, value: value === null ? null : Number(value), contactId };
    }),
  );
  const theirs = (await list('/deals')).map(({ contact, ...deal }) => ({ ...deal, contactId: contact?.id ?? null }));
  try {
    assert.deepEqual(contacts, sorted(await list('/contacts')));
    assert.deepEqual(deals, sorted(theirs));
    return true;
  } catch (error) {
    equal.why = error;
    return false;
  }
}

/** The server, but that it tells when so many requests have come, and that after `forget` it answers the next question for events as if retention had passed. */
async function forgetfulProxy(t) {
  let forgets = false;
  let waiting = { requests: 0, done() {} };
  const proxy = createServer(async (request, response) => {
    waiting.requests -= 1;
    if (waiting.requests === 0) waiting.done();
    if (forgets && request.url.startsWith('/api/external/events?after=A')) {
      forgets = false;
      response.writeHead(410, { 'Content-Type': 'application/json' }).end('{"code":"CURSOR_EXPIRED"}');
      return;
    }
    const headers = { Authorization: request.headers.authorization };
    const answer = await fetch(server.url + request.url, { headers });
    response.writeHead(answer.status, { 'Content-Type': 'application/json' }).end(await answer.text());
  });
  const requests = (count) => new Promise((done) => (waiting = { requests: count, done }));
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.after(() => proxy.close());
  return { url: `http://127.0.0.1:${proxy.address().port}`, requests, forget: () => (forgets = true) };
}

/** Starts a receiver, which ends with the test. */
async function program(t, receiver, name, { port, store, secret }) {
  const [file, ...words] = typeof receiver.command === 'function' ? receiver.command(port) : receiver.command;
  const running = spawn(file, words, {
    cwd: path.join(here, name),
    env: { ...process.env, PORT: String(port), STORE: store, SECRET: secret },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.printed = '';
  for (const stream of [running.stdout, running.stderr]) stream.on('data', (chunk) => (running.printed += chunk));
  t.after(() => running.kill('SIGKILL'));
  await eventually(`the start of ${name}`, () => {
    assert.equal(running.exitCode, null, running.printed);
    return listening(port);
  });
  return running;
}

/** Sends what no honest sender sends: each has to be answered with 400. */
async function forge(url, secret) {
  const { createHmac } = await import('node:crypto');
  const body = JSON.stringify({ event: 'deal.won', data: {}, metadata: { eventId: 'event_forged' } });
  const now = Math.floor(Date.now() / 1000);
  const sign = (key, time, id = 'event_forged') => ({
    'webhook-id': id,
    'webhook-timestamp': String(time),
    'webhook-signature': `v1,${createHmac('sha256', key).update(`${id}.${time}.${body}`).digest('base64')}`,
  });
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const forgeries = {
    'no signature': {},
    'another secret': sign(Buffer.alloc(24, 7), now),
    'an old signature': sign(key, now - 3600),
    'a signature of something else': { ...sign(key, now), 'webhook-id': 'event_other' },
  };
  for (const [what, headers] of Object.entries(forgeries)) {
    const answer = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body });
    assert.equal(answer.status, 400, `${what}: ${await answer.text()}`);
  }
}

function lines(store) {
  return readFileSync(store, 'utf8').split('\n').slice(0, -1).map((line) => JSON.parse(line));
}

function files(store) {
  const names = readdirSync(store).filter((name) => name.endsWith('.json'));
  return names.map((name) => JSON.parse(readFileSync(path.join(store, name), 'utf8')));
}

function rows(store) {
  return query(store, 'SELECT body FROM events').map(([body]) => JSON.parse(body));
}

/** The rows of an SQLite database. */
function query(store, sql) {
  const program = 'import json, sqlite3, sys; print(json.dumps(sqlite3.connect(sys.argv[1], timeout=20).execute(sys.argv[2]).fetchall()))';
  return JSON.parse(execFileSync('python3', ['-c', program, store, sql], { maxBuffer: 1 << 28 }));
}

/** A request with the key: the status and the parsed body. */
async function api(method, where, body) {
  const answer = await fetch(`${server.url}/api/external${where}`, {
    method,
    headers: { Authorization: `Bearer ${server.key}`, 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  return { status: answer.status, body: await answer.json() };
}

/** Like `api`, for when it must succeed; only the data. */
async function data(method, where, body) {
  const answer = await api(method, where, body);
  assert.ok(answer.status < 300, `${method} ${where}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body.data;
}

/** Creates records in one request; their ids. */
async function batch(where, count, record) {
  const created = await data('POST', where, { records: Array.from({ length: count }, (_, n) => record(n)) });
  return created.map((one) => one.data.id);
}

/** All records of a list. */
async function list(where) {
  const records = [];
  for (let cursor = ''; cursor !== undefined; ) {
    const { body } = await api('GET', `${where}?limit=200${cursor && `&cursor=${cursor}`}`);
    records.push(...body.data);
    cursor = body.meta.nextCursor ?? undefined;
  }
  return records;
}

let phones = 0;
/** A phone number that no other contact has. */
function phone() {
  phones += 1;
  return `+33${String(100_000_000 + phones)}`;
}

async function eventually(what, check, interval = 50) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await check();
    if (found) return found;
    assert.ok(Date.now() < deadline, `did not happen: ${typeof what === 'function' ? what() : what}`);
    await pause(interval);
  }
}

function listening(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
