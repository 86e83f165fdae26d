// Signatures, checked by the library that Standard Webhooks publishes.
'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const { Webhook } = require('standardwebhooks');
const { api, data, phone, receiver, subscribe } = require('../isao');

const WRONG_SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

test('deliveries are signed with the secret of the subscription', async (t) => {
  const hook = await receiver(t);
  const { secret } = await subscribe(t, 'contact.created', hook.url);
  // Letters beyond ASCII: the signature is over bytes.
  const contact = await data('POST', '/contacts', { name: 'Zoë Łukasiewicz 志', phoneNumber: phone() });
  const { body, headers } = await hook.about(contact.id);

  const event = new Webhook(secret).verify(body, headers);
  assert.deepEqual(event.data, contact);
  assert.equal(headers['webhook-id'], event.metadata.eventId);

  assert.throws(() => new Webhook(WRONG_SECRET).verify(body, headers), /No matching signature/);
  const forged = Buffer.from(body.toString().replace('Zoë', 'Zoé'));
  assert.throws(() => new Webhook(secret).verify(forged, headers), /No matching signature/);
  const renamed = { ...headers, 'webhook-id': 'event_other' };
  assert.throws(() => new Webhook(secret).verify(body, renamed), /No matching signature/);
});

test('a secret of the caller signs as well', async (t) => {
  const hook = await receiver(t);
  const secret = `whsec_${Buffer.alloc(32, 9).toString('base64')}`;
  const asked = { event: 'contact.created', target_url: hook.url, secret };
  const subscription = await data('POST', '/webhooks/subscribe', asked);
  t.after(() => api('DELETE', `/webhooks/${subscription.id}`));
  assert.equal(subscription.secret, secret);

  const contact = await data('POST', '/contacts', { name: 'Alan Turing', phoneNumber: phone() });
  const { body, headers } = await hook.about(contact.id);
  assert.deepEqual(new Webhook(secret).verify(body, headers).data, contact);
});
