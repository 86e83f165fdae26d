// Receives events of isao with Express: verifies them, keeps each one once, in a file, and answers
// 2xx only when it is on disk. Run with: npm ci && SECRET=whsec_… node receiver.js
'use strict';
const fs = require('node:fs');
const express = require('express');
const { Webhook, WebhookVerificationError } = require('standardwebhooks');

const webhook = new Webhook(process.env.SECRET);
const journal = openJournal(process.env.STORE ?? 'events.ndjson');

/** One event per line. One process may use the file at a time. */
function openJournal(name) {
  const file = fs.openSync(name, 'a+');
  const bytes = fs.readFileSync(name);
  let size = bytes.lastIndexOf('\n') + 1;
  fs.ftruncateSync(file, size); // a crash can leave half a line
  const lines = bytes.subarray(0, size).toString().split('\n').slice(0, -1);
  const ids = new Set(lines.map((line) => JSON.parse(line).metadata.eventId));
  return {
    has: (id) => ids.has(id),
    append(id, line) {
      try {
        fs.writeSync(file, `${line}\n`);
        fs.fsyncSync(file);
      } catch (error) {
        fs.ftruncateSync(file, size); // a full disk can, too
        throw error;
      }
      size += Buffer.byteLength(line) + 1;
      ids.add(id);
    },
  };
}

const app = express();

// The signature is that of the bytes, so they must not be parsed and written again before.
app.post('/webhook/isao', express.raw({ type: '*/*', limit: '2mb' }), (request, response) => {
  const event = webhook.verify(request.body, request.headers);
  // A test is signed, too, but about an invented record.
  if (request.headers['x-isao-test']) return void response.json({ received: true });
  const id = event.metadata.eventId; // also the header webhook-id; the same at every repetition
  const duplicate = journal.has(id);
  if (!duplicate) journal.append(id, request.body.toString());
  console.log(duplicate ? 'again' : 'stored', event.event, id);
  response.json({ received: true, duplicate });
});

// What throws is not answered with 2xx, so isao sends it again.
app.use((error, _request, response, _next) => {
  const refused = error instanceof WebhookVerificationError;
  if (!refused) console.error(error);
  response.status(refused ? 400 : (error.status ?? 500)).json({ error: refused ? error.message : 'not stored' });
});

const port = Number(process.env.PORT ?? 3000);
app.listen(port, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${port}/webhook/isao`));
