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

test('while a secret is being changed, the old and the new one verify', async (t) => {
  const hook = await receiver(t);
  const { id, secret } = await subscribe(t, 'contact.created', hook.url);
  const rotated = await data('POST', `/webhooks/${id}/rotate-secret`, {});
  const contact = await data('POST', '/contacts', { name: 'Grace Hopper', phoneNumber: phone() });
  const { body, headers } = await hook.about(contact.id);
  for (const known of [secret, rotated.secret]) {
    assert.deepEqual(new Webhook(known).verify(body, headers).data, contact);
  }

  const { secret: last } = await data('POST', `/webhooks/${id}/rotate-secret`, { overlap: '0s' });
  const other = await data('POST', '/contacts', { name: 'Ada Lovelace', phoneNumber: phone() });
  const second = await hook.about(other.id);
  assert.deepEqual(new Webhook(last).verify(second.body, second.headers).data, other);
  for (const past of [secret, rotated.secret]) {
    assert.throws(() => new Webhook(past).verify(second.body, second.headers), /No matching signature/);
  }
});
