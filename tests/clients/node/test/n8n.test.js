// The life cycle that n8n gives the webhooks of a trigger node: when a workflow is published it
// asks whether its webhook exists and creates it if not; when it is taken back, it deletes it.
'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const { api, data, phone, receiver } = require('../isao');

function triggerNode(event, webhookUrl) {
  const kept = {}; // n8n's static data of the workflow
  return {
    kept,
    async checkExists() {
      const all = await data('GET', '/webhooks');
      const ours = all.find((one) => one.event_type === event && one.target_url === webhookUrl);
      if (ours) kept.webhookId = ours.id;
      return ours !== undefined;
    },
    async create() {
      const subscription = await data('POST', '/webhooks/subscribe', { event, target_url: webhookUrl });
      Object.assign(kept, { webhookId: subscription.id, secret: subscription.secret });
    },
    async delete() {
      const answer = await api('DELETE', `/webhooks/${kept.webhookId}`);
      delete kept.webhookId;
      return answer.status;
    },
  };
}

test('a workflow is published, published again and taken back', async (t) => {
  const hook = await receiver(t);
  const node = triggerNode('contact.created', hook.url);

  assert.equal(await node.checkExists(), false);
  await node.create();
  t.after(() => node.kept.webhookId && node.delete());
  assert.equal(await node.checkExists(), true);

  // A node that lost what it kept creates again, and gets the same one, secret included.
  const amnesiac = triggerNode('contact.created', hook.url);
  await amnesiac.create();
  assert.deepEqual(amnesiac.kept, node.kept);

  const contact = await data('POST', '/contacts', { name: 'Katherine Johnson', phoneNumber: phone() });
  await hook.about(contact.id);
  assert.equal(hook.received.length, 1, 'one subscription, one delivery');

  assert.equal(await node.delete(), 200);
  assert.equal(await node.checkExists(), false);
  assert.equal(await amnesiac.delete(), 404);
});
