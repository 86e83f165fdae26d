// A server of its own, a browser, and people who use it.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { startServer } from '../../integrations/server.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Chromium's own calls home are switched off; it runs as root in containers. */
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

export async function start() {
  const server = await startServer(process.env.ISAO_BIN, ['--retry-delays', '1s,1s,1s']);
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });
  /** What must not be: requests to other hosts, errors of scripts, violations of the policy. */
  const faults = [];
  const { origin } = new URL(server.url);

  /** Somebody with a browser of their own. */
  const person = async (options = {}) => {
    const context = await browser.newContext({ locale: 'en-GB', viewport: { width: 1440, height: 900 }, ...options });
    context.on('request', (request) => {
      const url = new URL(request.url());
      if (url.origin !== origin && url.protocol !== 'data:') faults.push(`request to ${url.origin}`);
    });
    context.on('console', (message) => {
      const expected = /Failed to load resource/.test(message.text());
      if (message.type() === 'error' && !expected) faults.push(`${message.text()} (${message.page()?.url()})`);
    });
    context.on('weberror', (error) => faults.push(String(error.error())));
    return context.newPage();
  };

  /** Calls the API, with the demo key or another. */
  const api = async (method, path, body, key = server.key) => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    const answer = await fetch(`${server.url}/api/external${path}`, { method, headers, body: body && JSON.stringify(body) });
    return { status: answer.status, ...(await answer.json()) };
  };

  return {
    server,
    person,
    api,
    faults,
    page: (path) => `${server.url}/dashboard${path}`,
    async stop() {
      await browser.close();
      await server.stop();
    },
  };
}

/** Serious findings of axe on the page. */
export async function findings(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`);
}

/** Is the page wider than the window? */
export const overflows = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);

/** A receiver that answers what it is told to. */
export async function receiver() {
  const received = [];
  const answers = { status: 200 };
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      received.push(request.headers['x-isao-event']);
      response.writeHead(answers.status).end();
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { answers, received, url: `http://127.0.0.1:${server.address().port}/hook`, close: () => server.close() };
}

/** Waits until the page says it, without loading it anew. */
export async function says(page, selector, text, timeout = 15_000) {
  try {
    await page.locator(selector).filter({ hasText: text }).first().waitFor({ timeout });
  } catch {
    assert.fail(`${page.url()} does not say ${text}: ${await page.locator('main').innerText()}`);
  }
}
