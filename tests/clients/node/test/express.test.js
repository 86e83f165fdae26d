// The page's Express receiver, as a program of its own, given real deliveries.
'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const path = require('node:path');
const { once } = require('node:events');
const { spawn } = require('node:child_process');
const { api, data, eventually, freePort, phone, snippet, subscribe } = require('../isao');

/** Runs it; answers its address and what it prints. */
async function expressReceiver(t) {
  const port = await freePort();
  const program = spawn(process.execPath, ['-'], {
    cwd: path.dirname(__dirname), // where `require` finds express
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(async () => {
    program.kill();
    await once(program, 'exit');
  });
  const printed = { text: '' };
  program.stdout.on('data', (chunk) => (printed.text += chunk));
  program.stdin.end(snippet('receivers/express.js').replaceAll('3000', port));
  await eventually('the start of the receiver', () => printed.text.includes(`listening on port ${port}`));
  return { url: `http://127.0.0.1:${port}/webhook/isao`, printed };
}

test('it greets new contacts, notices won deals and shrugs at the rest', async (t) => {
  const { url, printed } = await expressReceiver(t);
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
