// The page's Zapier app, run by Zapier's own library.
'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const zapier = require('zapier-platform-core');
const { createBundleBank, recurseReplaceBank } = require('zapier-platform-core/src/tools/cleaner');
const { KEY, api, data, load, phone, receiver } = require('../isao');

const authentication = load('zapier/authentication.js');
const newContact = load('zapier/triggers/new_contact.js');
const createContact = load('zapier/creates/create_contact.js');
const triggerConfig = load('zapier/triggerConfig.js', 'triggerConfig');

const app = {
  version: '1.0.0',
  platformVersion: zapier.version,
  authentication,
  triggers: { [newContact.key]: newContact },
  creates: { [createContact.key]: createContact },
};
const operation = app.triggers.new_contact.operation;
const run = zapier.createAppTester(app);

// The page's first snippet is what Zapier's form mode makes. That mode writes the `perform` of a
// hook by itself, in these words.
const declared = {
  ...app,
  triggers: {
    new_contact: {
      ...triggerConfig,
      operation: { ...triggerConfig.operation, perform: (z, bundle) => [bundle.cleanedRequest] },
    },
  },
};
const runDeclared = zapier.createAppTester(declared);

const authData = { api_key: KEY };
const active = async (id) => (await data('GET', '/webhooks')).some((one) => one.subscription_id === id);
const contact = () => data('POST', '/contacts', { name: 'Jane Smith', phoneNumber: phone() });

test('the key of the connection is tested', async () => {
  const answer = await run(authentication.test, { authData });
  assert.equal(answer.success, true);
  assert.ok(answer.data.permissions.includes('webhooks:write'));
});

test('a wrong key fails the connection', async () => {
  const wrong = { authData: { api_key: `ck_${'0'.repeat(64)}` } };
  await assert.rejects(run(authentication.test, wrong), (error) => {
    assert.equal(JSON.parse(error.message).status, 401);
    return true;
  });
});

test('the connection is labelled with the company', async () => {
  // Zapier lifts the flat fields of the test's answer to the fields of the connection.
  const answer = await run(authentication.test, { authData });
  const bundle = { authData: { ...answer, ...authData }, inputData: answer };
  const bank = createBundleBank({ bundle });
  const label = recurseReplaceBank(authentication.connectionLabel, bank);
  assert.ok(answer.company_name);
  assert.equal(label, `Connected to ISAO (${answer.company_name})`);
});

test('the contact action creates a contact', async () => {
  const inputData = {
    name: 'Ada Lovelace',
    phoneNumber: phone(),
    email: 'ada@example.com',
    position: '', // a field that was left empty in the Zap
    tags: 'vip, enterprise',
  };
  const created = await run(createContact.operation.perform, { authData, inputData });
  assert.deepEqual(created, await data('GET', `/contacts/${created.id}`));
  assert.equal(created.name, inputData.name);
  assert.equal(created.position, null);
  assert.equal(created.currentCompany, null);
  assert.deepEqual(created.tags, ['vip', 'enterprise']);
});

test('a refused contact tells the user why', async () => {
  const inputData = { name: 'Nobody', phoneNumber: '' };
  await assert.rejects(run(createContact.operation.perform, { authData, inputData }), (error) => {
    const { status, content } = JSON.parse(error.message);
    assert.equal(status, 422);
    assert.ok(JSON.parse(content).details.fields.phoneNumber);
    return true;
  });
});

// -1 is what Zapier's editor sends: "as many as there are".
for (const limit of [undefined, -1, 1, 100]) {
  test(`polling with limit ${limit} gives recent contacts, newest first`, async () => {
    const [older, newer] = [await contact(), await contact()];
    const items = await run(operation.perform, { authData, meta: { limit } });
    assert.deepEqual(items[0], newer);
    if (limit === 1) {
      assert.equal(items.length, 1);
    } else {
      assert.deepEqual(items[1], older);
      assert.ok(items.length <= 100);
    }
    assert.equal(new Set(items.map((item) => item.id)).size, items.length);
  });
}

test('the declared trigger lists recent contacts', async () => {
  const newest = await contact();
  const items = await runDeclared(declared.triggers.new_contact.operation.performList, { authData });
  assert.deepEqual(items[0], newest);
});

for (const [name, tester, of] of [
  ['trigger', run, app],
  ['declared trigger', runDeclared, declared],
]) {
  test(`the ${name} subscribes, is called and unsubscribes`, async (t) => {
    const { performSubscribe, performUnsubscribe, perform } = of.triggers.new_contact.operation;
    const hook = await receiver(t);

    // What performSubscribe answers is what Zapier keeps as subscribeData.
    const subscribeData = await tester(performSubscribe, { authData, targetUrl: hook.url });
    t.after(() => api('DELETE', '/webhooks/unsubscribe', { subscription_id: subscribeData.subscription_id }));
    assert.match(subscribeData.subscription_id, /^sub_/);
    assert.ok(await active(subscribeData.subscription_id));

    const created = await contact();
    const delivery = await hook.about(created.id);
    const cleanedRequest = JSON.parse(delivery.body);
    assert.equal(cleanedRequest.event, 'contact.created');
    assert.deepEqual(cleanedRequest.data, created);

    // The page's own `perform` answers a hook with the recent contacts, the other with the event.
    const items = await tester(perform, { authData, subscribeData, cleanedRequest, meta: {} });
    assert.deepEqual(of === app ? items[0] : items[0].data, created);

    await tester(performUnsubscribe, { authData, subscribeData });
    assert.ok(!(await active(subscribeData.subscription_id)));
    await contact();
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(hook.received.length, 1);

    await assert.rejects(tester(performUnsubscribe, { authData, subscribeData }), /404/);
  });
}

test('Zapier finds nothing wrong with the definitions', async () => {
  for (const definition of [app, declared]) {
    const { results } = await zapier.createAppHandler(definition)({ command: 'validate' });
    assert.deepEqual(results, []);
  }
});
