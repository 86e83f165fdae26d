// Pastes the commands of docs/guides into a shell, page by page: each request has to succeed. See `run`.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { startServer } from '../integrations/server.mjs';

const guides = path.join(path.dirname(new URL(import.meta.url).pathname), '../docs/guides');
/** Blocks with these install something, are about other machines, or do not end. */
const NOT_HERE = /(^|[\s(])(npm|npx|node|cargo|isao|sqlite3|python3) |curl -N|crm\.example\.com/m;
const hasJq = !spawnSync('jq', ['--version']).error;

let server;
let receiver;

before(async () => {
  server = await startServer(process.env.ISAO_BIN);
  receiver = createServer((request, response) => request.resume().on('end', () => response.end()));
  receiver.listen(0, '127.0.0.1');
  await once(receiver, 'listening');
});
after(async () => {
  receiver?.close();
  await server?.stop();
});

for (const page of readdirSync(guides)) {
  const blocks = [...readFileSync(path.join(guides, page), 'utf8').matchAll(/^( *)```sh\n(.*?)^ *```/gms)]
    .map(([, indent, block]) => block.replaceAll(new RegExp(`^${indent}`, 'gm'), ''))
    .filter((block) => !NOT_HERE.test(block));
  const skip = blocks.some((block) => /\bjq\b/.test(block)) && !hasJq && 'jq is not installed';

  test(`the commands of ${page} work`, { skip }, async () => {
    const url = `http://127.0.0.1:${receiver.address().port}/webhook/isao`;
    const { subscription_id: id } = await data('POST', '/webhooks/subscribe', { event: 'contact.*', target_url: url });
    const phoneNumber = `+33${String(Math.random()).slice(2, 11)}`;
    await data('POST', '/contacts', { name: 'Ada', phoneNumber });
    let delivery;
    while (!delivery) [delivery] = await data('GET', `/webhooks/${id}/deliveries?state=delivered`);
    const { nextCursor } = (await api('GET', '/events?after=now')).meta;

    // What a reader fills in. Nothing is subscribed that is not on this machine.
    const filled = blocks.join('\n')
      .replaceAll(/^API=.*$/gm, `API=${server.url}/api/external`)
      .replaceAll(/^OLD=.*$/gm, `OLD=${server.url}/api/external`)
      .replaceAll(/ck_…|YOUR_API_KEY/g, server.key)
      .replaceAll('sub_…', id)
      .replaceAll('delivery_…', delivery.id)
      .replaceAll('CURSOR', nextCursor)
      .replaceAll(/("target_url": )"http[^"]*"/g, `$1"${url}"`);
    const script = `set -euo pipefail
      KEY=${server.key} API=${server.url}/api/external SUB=${id}
      curl() { command curl --silent --show-error --fail-with-body --max-time 30 "$@"; }
      ${filled}`;
    const { stdout } = await promisify(execFile)('bash', ['-c', script], { maxBuffer: 1 << 26, timeout: 120_000 });
    assert.doesNotMatch(stdout, /"success":false/);
  });
}

async function api(method, where, body) {
  const answer = await fetch(`${server.url}/api/external${where}`, {
    method,
    headers: { Authorization: `Bearer ${server.key}`, 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const parsed = await answer.json();
  assert.ok(answer.ok, `${method} ${where}: ${answer.status} ${JSON.stringify(parsed)}`);
  return parsed;
}

async function data(method, where, body) {
  return (await api(method, where, body)).data;
}
