// Receives events of isao with Fastify: verifies them, keeps each one once, as a file in a directory,
// and answers 2xx only when it is on disk. Several processes may share the directory.
// Run with: npm ci && SECRET=whsec_… node receiver.js
'use strict';
const fs = require('node:fs/promises');
const path = require('node:path');
const { randomUUID } = require('node:crypto');
const fastify = require('fastify');
const { Webhook } = require('standardwebhooks');

const webhook = new Webhook(process.env.SECRET);
const store = process.env.STORE ?? 'events';

/** Whether the event was new. The file is complete before it has its name. */
async function keep(id, body) {
  const whole = path.join(store, `${id}.json`);
  const part = path.join(store, `.${randomUUID()}`);
  await fs.mkdir(store, { recursive: true });
  await fs.writeFile(part, body, { flush: true }); // Node 20 ignores `flush` in versions before 20.10
  try {
    await fs.link(part, whole); // fails if the name is taken
    await sync(store);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  } finally {
    await fs.rm(part, { force: true });
  }
}

/** Puts a directory's list of names on disk. */
async function sync(directory) {
  const handle = await fs.open(directory);
  await handle.sync().finally(() => handle.close());
}

const app = fastify({ bodyLimit: 2 * 1024 * 1024 });

// The signature is that of the bytes, so Fastify must not parse them.
app.removeAllContentTypeParsers();
app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

app.post('/webhook/isao', async (request, reply) => {
  let event;
  try {
    event = webhook.verify(request.body, request.headers);
  } catch (error) {
    return reply.code(400).send({ error: error.message });
  }
  // A test is signed, too, but about an invented record.
  if (request.headers['x-isao-test']) return { received: true };
  const id = event.metadata.eventId; // also the header webhook-id; the same at every repetition
  const isNew = await keep(id, request.body); // what throws becomes 500, so isao sends it again
  console.log(isNew ? 'stored' : 'again', event.event, id);
  return { received: true, duplicate: !isNew };
});

const port = Number(process.env.PORT ?? 3000);
app.listen({ port, host: '127.0.0.1' }).then(() => console.log(`listening on http://127.0.0.1:${port}/webhook/isao`));
