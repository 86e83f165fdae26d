// The Express receivers of the page and of the README, as programs, given real deliveries.
'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { once } = require('node:events');
const { spawn } = require('node:child_process');
const { api, data, eventually, freePort, listening, phone, snippet, subscribe } = require('../isao');

/** Runs a program that listens on port 3000, on another one; answers all that it prints. */
async function start(t, source, port, env) {
  const program = spawn(process.execPath, ['-'], {
    cwd: path.dirname(__dirname), // where `require` finds express
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(async () => {
    program.kill();
    await once(program, 'exit');
  });
  const printed = { text: '' };
  program.stdout.on('data', (chunk) => (printed.text += chunk));
  program.stdin.end(source.replaceAll('3000', port));
  await eventually('the start of the receiver', () => listening(port));
  return printed;
}

test('that of the page greets new contacts, notices won deals and shrugs at the rest', async (t) => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/webhook/isao`;
  const printed = await start(t, snippet('receivers/express.js'), port);
  const subscriptions = [];
  for (const event of ['contact.created', 'deal.won', 'deal.lost']) {
    subscriptions.push(await subscribe(t, event, url));
  }
  const name = `Grace Hopper ${phone()}`;
  await data('POST', '/contacts', { name, phoneNumber: phone() });
  await data('POST', '/deals', { title: 'Compiler licences', value: 25000.5, status: 'won' });
  await data('POST', '/deals', { title: 'Abacus', status: 'lost' });

  for (const line of [
    'Received event: contact.created',
    `New contact: ${name}`,
    'Deal won: Compiler licences 25000.5',
    'Unknown event type: deal.lost',
  ]) {
    await eventually(`the line "${line}"`, () => printed.text.includes(line));
  }

  // Its answer was taken as success: nothing is repeated, and nothing is unwell.
  for (const { id } of subscriptions) {
    const { body } = await api('GET', `/webhooks/${id}`);
    assert.equal(body.data.is_active, true);
  }
  assert.equal(printed.text.split(`New contact: ${name}`).length, 2);
});

test('that of the README verifies what it gets', async (t) => {
  const readme = fs.readFileSync(path.join(__dirname, '../../../../README.md'), 'utf8');
  const [, source] = readme.match(/```js\n(\/\/ receiver\.js[^]*?)```/);
  const port = await freePort();
  const { id, secret } = await subscribe(t, 'contact.created', `http://127.0.0.1:${port}/webhook/isao`);
  const printed = await start(t, source, port, { SECRET: secret });

  const name = `Hedy Lamarr ${phone()}`;
  await data('POST', '/contacts', { name, phoneNumber: phone() });
  await eventually('its line', () => printed.text.includes(`contact.created ${name}`));

  const forged = await fetch(`http://127.0.0.1:${port}/webhook/isao`, { method: 'POST', body: '{}' });
  assert.equal(forged.status, 500);
  assert.equal((await data('GET', `/webhooks/${id}`)).is_active, true);
});
