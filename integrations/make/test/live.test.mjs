// Runs the app against a server: connection, attach, delivery, detach, actions, searches, procedures.
// ISAO_BIN names the binary; with ISAO_URL and ISAO_KEY the tests use a server that is there already.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { startServer } from '../../server.mjs';
import { code, manifest, MakeError, run } from './app.mjs';
import { evaluate } from './iml.mjs';

/** For whatever has to happen in the end: generous, because machines are busy. */
const PATIENCE_MS = 30_000;
/** For a delivery that must not come: longer than deliveries take. */
const QUIET_MS = 500;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let server;
let connection;

before(async () => {
  const { ISAO_URL, ISAO_KEY, ISAO_BIN } = process.env;
  server = ISAO_URL && ISAO_KEY ? { url: ISAO_URL, key: ISAO_KEY, stop() {} } : await startServer(ISAO_BIN);
  connection = { baseUrl: server.url, apiKey: server.key };
});
after(() => server?.stop());

async function api(method, route, body) {
  const response = await fetch(`${server.url}/api/external${route}`, {
    method,
    headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const answer = await response.json();
  assert.ok(response.ok, `${method} ${route}: ${JSON.stringify(answer)}`);
  return answer.data;
}

const phone = () => `+33${randomInt(1e9, 9e9)}`;
const contact = (fields = {}) => api('POST', '/contacts', { name: 'Jane Smith', phoneNumber: phone(), ...fields });
const deal = (fields = {}) => api('POST', '/deals', { title: 'Licence', stage: 'proposal', ...fields });

/** A receiver in the place of Make's webhooks; it ends with the test. */
async function receiver(t) {
  const received = [];
  const listener = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    received.push({ headers: request.headers, body: JSON.parse(body) });
    response.end('Accepted');
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.after(() => {
    listener.closeAllConnections();
    listener.close();
  });
  return {
    url: `http://127.0.0.1:${listener.address().port}/hook`,
    received,
    async about(id) {
      const deadline = Date.now() + PATIENCE_MS;
      for (;;) {
        const found = received.find(({ body }) => body.data.id === id);
        if (found) return found;
        assert.ok(Date.now() < deadline, `no delivery about ${id}`);
        await pause(20);
      }
    },
  };
}

/** Creates a webhook as Make does; what it keeps of it. */
async function attach(id, url, parameters = { ignoreOwn: false }) {
  const webhook = { url };
  const { data } = await run(code('webhook', id, 'attach'), { connection, parameters, webhook });
  return { ...webhook, ...data };
}
const detach = (id, webhook) => run(code('webhook', id, 'detach'), { connection, parameters: {}, webhook });

const active = async () => (await api('GET', '/webhooks')).map(({ subscription_id }) => subscription_id);

/** How each event comes about; the record as it is afterwards. */
const causes = {
  newContact: () => contact(),
  updatedContact: async () => api('PUT', `/contacts/${(await contact()).id}`, { city: 'Lyon' }),
  newDeal: () => deal(),
  updatedDeal: async () => api('PUT', `/deals/${(await deal()).id}`, { value: 3.5 }),
  stageChanged: async () => ({
    ...(await api('PUT', `/deals/${(await deal()).id}/status`, { stage: 'negotiation' })),
    previousStage: 'proposal',
  }),
  dealWon: async () => api('PUT', `/deals/${(await deal()).id}/status`, { status: 'won' }),
  dealLost: async () => api('PUT', `/deals/${(await deal()).id}/status`, { status: 'lost' }),
};

const choices = async (id, parameters = {}) =>
  (await run(code('rpc', id, 'communication'), { connection, parameters })).output;

describe('the connection', () => {
  const request = code('connection', 'isao', 'communication');
  const parameters = () => ({ ...connection });

  test('is tested with the key, and named after the company', async () => {
    const { answer } = await run(request, { parameters: parameters() });
    assert.equal(evaluate(request.response.metadata.value, answer), 'Demo Company');
  });

  test('with a wrong key says so', async () => {
    const wrong = { ...parameters(), apiKey: `ck_${'0'.repeat(64)}` };
    await assert.rejects(run(request, { parameters: wrong }), /\[401\] .*key/i);
  });

  test('takes an address only as it is used', () => {
    const [{ validate }] = code('connection', 'isao', 'params');
    const pattern = new RegExp(validate.pattern);
    for (const good of ['https://isao.example.com', 'http://127.0.0.1:8080', 'https://example.com/isao']) {
      assert.match(good, pattern);
    }
    for (const bad of ['isao.example.com', 'https://isao.example.com/', 'https://example.com/?x', 'ftp://example.com']) {
      assert.doesNotMatch(bad, pattern);
    }
  });
});

test('there is a test of each webhook', () => {
  assert.deepEqual(Object.keys(causes).sort(), Object.keys(manifest.components.webhook).sort());
});

for (const [id, cause] of Object.entries(causes)) {
  test(`${id} is attached, delivers, and is detached`, async (t) => {
    const hook = await receiver(t);
    const webhook = await attach(id, hook.url);
    assert.ok((await active()).includes(webhook.externalHookId));

    const record = await cause();
    const { body, headers } = await hook.about(record.id);
    const output = evaluate(code('webhook', id, 'communication').output, { body, headers });
    assert.deepEqual(output, record);
    const module = Object.entries(manifest.components.module).find(([, one]) => one.webhook === id)[0];
    assert.deepEqual(Object.keys(output), code('module', module, 'interface').map(({ name }) => name));

    await detach(id, webhook);
    assert.ok(!(await active()).includes(webhook.externalHookId));
    await cause();
    await pause(QUIET_MS);
    assert.equal(hook.received.length, 1);
  });
}

describe('a webhook', () => {
  test('for one stage leaves out others', async (t) => {
    const hook = await receiver(t);
    const webhook = await attach('stageChanged', hook.url, { stage: 'closing', ignoreOwn: false });
    const [other, wanted] = [await deal(), await deal()];
    await api('PUT', `/deals/${other.id}/status`, { stage: 'negotiation' });
    await api('PUT', `/deals/${wanted.id}/status`, { stage: 'closing' });
    await hook.about(wanted.id);
    assert.equal(hook.received.length, 1);
    await detach('stageChanged', webhook);
  });

  test('with an empty stage is for all', async (t) => {
    const hook = await receiver(t);
    const webhook = await attach('stageChanged', hook.url, { stage: '', ignoreOwn: false });
    const { id } = await causes.stageChanged();
    await hook.about(id);
    await detach('stageChanged', webhook);
  });

  test('leaves out changes of its own connection', async (t) => {
    const hook = await receiver(t);
    const webhook = await attach('newContact', hook.url, { ignoreOwn: true });
    await contact();
    await pause(QUIET_MS);
    assert.equal(hook.received.length, 0);
    await detach('newContact', webhook);
  });

  test('to a URL that the server refuses says why', async () => {
    await assert.rejects(attach('newContact', 'ftp://example.com'), ({ type, message }) => {
      assert.equal(type, 'DataError');
      assert.match(message, /\[422\] .*target_url.*: ./);
      return true;
    });
  });
});

describe('an action', () => {
  const act = async (id, parameters) => (await run(code('module', id, 'communication'), { connection, parameters })).output;
  const fieldsOf = (id) => code('module', id, 'interface').map(({ name }) => name);

  test('creates a contact', async () => {
    const phoneNumber = phone();
    const made = await act('createContact', { name: 'Jo Doe', phoneNumber, tags: ['lead'] });
    assert.deepEqual(made, await api('GET', `/contacts/${made.id}`));
    assert.deepEqual(Object.keys(made), fieldsOf('createContact'));
  });

  test('updates a contact, and erases a field', async () => {
    const { id } = await contact({ city: 'Paris', country: 'France' });
    const changed = await act('updateContact', { id, city: null, position: 'CTO' });
    assert.deepEqual([changed.city, changed.country, changed.position], [null, 'France', 'CTO']);
  });

  test('creates a deal', async () => {
    const { id: contactId } = await contact();
    const [member] = await choices('listMembers');
    const made = await act('createDeal', { title: 'New', value: 12.5, contactId, assignedToId: member.value });
    assert.deepEqual([made.value, made.contact.id, made.assignedTo.id], [12.5, contactId, member.value]);
    assert.deepEqual(Object.keys(made), fieldsOf('createDeal'));
  });

  test('updates a deal', async () => {
    const { id } = await deal();
    assert.equal((await act('updateDeal', { id, priority: 'high' })).priority, 'high');
  });

  test('sets the status of a deal', async () => {
    const { id } = await deal();
    const won = await act('setDealStatus', { id, status: 'won', stage: 'closed' });
    assert.deepEqual([won.status, won.stage], ['won', 'closed']);
    assert.ok(won.actualCloseDate);
  });

  test('that is refused says what the server says', async () => {
    const { phoneNumber, id } = await contact();
    const refused = async (id, parameters, type, message) =>
      await assert.rejects(act(id, parameters), (error) => {
        assert.ok(error instanceof MakeError);
        assert.equal(error.type, type);
        assert.match(error.message, message);
        return true;
      });
    await refused('createContact', { name: 'Twin', phoneNumber }, 'DuplicateDataError', new RegExp(`409.*${id}`));
    await refused('createContact', { name: 'No', phoneNumber: '3.361E+10' }, 'DataError', /422.*phoneNumber.*: .*digits/);
    await refused('updateContact', { id: 'contact_none', city: 'X' }, 'RuntimeError', /404/);
  });
});

describe('a search', () => {
  const find = async (id, parameters) =>
    (await run(code('module', id, 'communication'), { connection, parameters })).output;

  test('finds contacts by number, address and name', async () => {
    const [email, name] = [`jo${randomInt(1e9)}@example.com`, `Unique ${randomInt(1e9)}`];
    const made = await contact({ name, email });
    for (const parameters of [{ phoneNumber: made.phoneNumber }, { email: email.toUpperCase() }, { search: name.toUpperCase() }]) {
      assert.deepEqual(await find('findContacts', { ...parameters, limit: 10 }), [made]);
    }
    assert.deepEqual(await find('findContacts', { email: 'nobody@example.com', limit: 10 }), []);
  });

  test('finds deals by text, contact, status and stage', async () => {
    const { id: contactId } = await contact();
    const stage = `stage ${randomInt(1e9)}`;
    const made = await deal({ title: `Title ${stage}`, stage, contactId });
    for (const parameters of [{ search: stage }, { contactId }, { stage, status: 'open' }]) {
      assert.deepEqual(await find('findDeals', { ...parameters, limit: 10 }), [made]);
    }
  });

  test('reads further pages, up to its limit', async () => {
    const name = `Many ${randomInt(1e9)}`;
    for (let index = 0; index < 210; index += 1) await contact({ name });
    const all = await find('findContacts', { search: name, limit: 1000 });
    assert.equal(new Set(all.map(({ id }) => id)).size, 210);
    assert.equal((await find('findContacts', { search: name, limit: 205 })).length, 205);
    assert.equal((await find('findContacts', { search: name, limit: 3 })).length, 3);
  });
});

describe('a procedure', () => {
  test('lists members', async () => {
    const members = await api('GET', '/members');
    assert.deepEqual(
      await choices('listMembers'),
      members.map(({ id, name, email }) => ({ label: `${name} (${email})`, value: id })),
    );
  });

  test('lists stages', async () => {
    await deal({ stage: 'proposal' });
    assert.ok((await choices('listStages')).some(({ label, value }) => label === 'proposal' && value === label));
  });

  test('searches contacts and deals', async () => {
    const made = await contact({ name: `Known ${randomInt(1e9)}` });
    assert.deepEqual(await choices('searchContacts', { search: made.name }), [
      { label: `${made.name} (${made.phoneNumber})`, value: made.id },
    ]);
    const sold = await deal({ title: `Sold ${randomInt(1e9)}` });
    assert.deepEqual(await choices('searchDeals', { search: sold.title }), [{ label: sold.title, value: sold.id }]);
  });
});
