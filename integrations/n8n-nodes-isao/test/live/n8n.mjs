// Runs the nodes in a real n8n, as its users do: over its own REST API, with a server of isao beside
// it. test/live/run installs n8n, and starts this.
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startServer } from '../../../server.mjs';

const PACKAGE = join(dirname(fileURLToPath(import.meta.url)), '../..');
const N8N = join(PACKAGE, '.n8n/n8n');
const { parse } = createRequire(join(N8N, 'package.json'))('flatted');

/** For whatever has to happen in the end: generous, because machines are busy. */
const PATIENCE_MS = 60_000;
const START_TIMEOUT_MS = 180_000;
/** For what must not happen: longer than deliveries take. */
const QUIET_MS = 1500;
const POLL_INTERVAL_MS = 100;
/** Until n8n has published a workflow or stopped it. */
const SETTLE_MS = 20_000;

const TRIGGER = 'n8n-nodes-isao.isaoTrigger';
const ACTION = 'n8n-nodes-isao.isao';

const pause = (ms = POLL_INTERVAL_MS) => new Promise((resolve) => setTimeout(resolve, ms));

let passed = 0;
let failed = 0;
function check(what, holds, seen) {
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}${holds || seen === undefined ? '' : `: ${JSON.stringify(seen)}`}`);
  if (holds) passed += 1;
  else failed += 1;
}

/** The first value that `look` returns. */
async function eventually(what, look, patience = PATIENCE_MS) {
  const deadline = Date.now() + patience;
  for (;;) {
    const value = await look();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not within ${patience} ms: ${what}`);
    await pause();
  }
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

// --- n8n ---

async function startN8n() {
  const folder = await mkdtemp(join(tmpdir(), 'isao-n8n-'));
  const installed = join(folder, '.n8n/nodes/node_modules/n8n-nodes-isao');
  await mkdir(installed, { recursive: true });
  // What `npm pack` puts into the package.
  for (const part of ['package.json', 'dist']) await cp(join(PACKAGE, part), join(installed, part), { recursive: true });
  await writeFile(
    join(folder, '.n8n/nodes/package.json'),
    JSON.stringify({ name: 'installed-nodes', private: true, dependencies: { 'n8n-nodes-isao': '1.0.0' } }),
  );
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(N8N_|DB_|ISAO_|DATABASE_URL)/.test(name)),
  );
  const server = spawn(process.execPath, [join(N8N, 'node_modules/n8n/bin/n8n'), 'start'], {
    env: {
      ...env,
      N8N_USER_FOLDER: folder,
      N8N_PORT: String(port),
      N8N_LISTEN_ADDRESS: '127.0.0.1',
      N8N_RUNNERS_BROKER_PORT: String(await freePort()),
      WEBHOOK_URL: `${url}/`,
      N8N_SECURE_COOKIE: 'false',
      N8N_DIAGNOSTICS_ENABLED: 'false',
      N8N_VERSION_NOTIFICATIONS_ENABLED: 'false',
      N8N_TEMPLATES_ENABLED: 'false',
      N8N_PERSONALIZATION_ENABLED: 'false',
      N8N_HIRING_BANNER_ENABLED: 'false',
      N8N_MCP_REGISTRY_ENABLED: 'false',
      EXECUTIONS_DATA_SAVE_ON_SUCCESS: 'all',
      N8N_LOG_LEVEL: 'debug',
      N8N_LOG_SCOPES: '',
      NO_COLOR: '1',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  server.stdout.on('data', (chunk) => (log += chunk));
  server.stderr.on('data', (chunk) => (log += chunk));
  let running = true;
  const ended = new Promise((resolve) => server.on('exit', resolve)).then(() => (running = false));

  const headers = { 'content-type': 'application/json', 'browser-id': 'isao-test' };
  const rest = async (method, path, body) => {
    const response = await fetch(`${url}/rest${path}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const cookies = response.headers.getSetCookie();
    if (cookies.length > 0) headers.cookie = cookies.map((cookie) => cookie.split(';')[0]).join('; ');
    const text = await response.text();
    let answer;
    try {
      answer = JSON.parse(text);
    } catch {
      answer = { message: text };
    }
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 1000)}`);
    return answer.data;
  };

  const started = async () => {
    if (!running) throw new Error(`n8n did not start:\n${log.slice(-5000)}`);
    try {
      return (await fetch(`${url}/healthz/readiness`)).ok;
    } catch {
      return false;
    }
  };
  try {
    await eventually('n8n starts', started, START_TIMEOUT_MS);
  } catch (error) {
    server.kill('SIGKILL');
    throw new Error(`${error.message}\n${log.slice(-5000)}`);
  }

  return {
    url,
    rest,
    log: () => log,
    async stop() {
      server.kill('SIGTERM');
      await Promise.race([ended, pause(20_000)]);
      server.kill('SIGKILL');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

// --- the tests ---

async function main(isao, n8n) {
  const { rest } = n8n;
  const api = async (method, path, body) => {
    const response = await fetch(`${isao.url}/api/external${path}`, {
      method,
      headers: { authorization: `Bearer ${isao.key}`, 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
    return answer.data;
  };
  const phone = () => `+33${randomInt(1e9, 9e9)}`;
  const contact = (fields = {}) => api('POST', '/contacts', { name: 'Jane Smith', phoneNumber: phone(), ...fields });
  const subscriptions = () => api('GET', '/webhooks?status=all');
  /** The subscriptions, once there are `count`: n8n publishes workflows after it has answered. */
  const settled = async (count) => {
    const deadline = Date.now() + SETTLE_MS;
    let all = await subscriptions();
    while (all.length !== count && Date.now() < deadline) {
      await pause();
      all = await subscriptions();
    }
    await pause(QUIET_MS);
    return await subscriptions();
  };

  await rest('POST', '/owner/setup', {
    email: 'owner@example.com',
    firstName: 'Olivia',
    lastName: 'Owner',
    password: `Secret${randomInt(1e9)}`,
  });

  // The credential.
  const credentialData = { baseUrl: `${isao.url}/`, apiKey: isao.key };
  const tested = async (data) =>
    await rest('POST', '/credentials/test', { credentials: { id: '', name: 'ISAO', type: 'isaoApi', data } });
  const good = await tested(credentialData);
  check('the test of a credential accepts a right key', good.status === 'OK', good);
  const bad = await tested({ ...credentialData, apiKey: `ck_${'0'.repeat(64)}` });
  check('the test of a credential refuses a wrong key', bad.status === 'Error', bad);
  const slashed = await tested({ ...credentialData, baseUrl: `${isao.url}/api/external` });
  check('the test of a credential takes the address of the API', slashed.status === 'OK', slashed);
  const credential = await rest('POST', '/credentials', { name: 'ISAO', type: 'isaoApi', data: credentialData });
  const credentials = { isaoApi: { id: credential.id, name: credential.name } };

  // Workflows.
  let nodes = 0;
  const node = (name, type, parameters, extra = {}) => ({
    id: `00000000-0000-4000-8000-${String(++nodes).padStart(12, '0')}`,
    name,
    type,
    typeVersion: 1,
    position: [nodes * 100, 0],
    parameters,
    ...(type.startsWith('n8n-nodes-isao.') && { credentials }),
    ...(type === TRIGGER && { webhookId: `10000000-0000-4000-8000-${String(nodes).padStart(12, '0')}` }),
    ...extra,
  });
  const workflow = async (name, ...chain) => {
    const connections = {};
    chain.slice(1).forEach((to, index) => {
      connections[chain[index].name] = { main: [[{ node: to.name, type: 'main', index: 0 }]] };
    });
    return await rest('POST', '/workflows', { name, nodes: chain, connections, settings: {}, active: false });
  };
  const activate = async ({ id }) => {
    const { versionId } = await rest('GET', `/workflows/${id}`);
    await rest('POST', `/workflows/${id}/activate`, { versionId });
  };
  const deactivate = async ({ id }) => await rest('POST', `/workflows/${id}/deactivate`, {});
  const executions = async ({ id }) =>
    (await rest('GET', `/executions?filter=${encodeURIComponent(JSON.stringify({ workflowId: id }))}`)).results;
  /** The items of each node of an execution. */
  const itemsOf = async (id) => {
    const execution = await rest('GET', `/executions/${id}`);
    const { resultData } = parse(execution.data);
    const items = Object.fromEntries(
      Object.entries(resultData.runData).map(([name, [run]]) => [name, run.data?.main?.[0]?.map(({ json }) => json)]),
    );
    return { status: execution.status, mode: execution.mode, items, error: resultData.error };
  };
  /** The finished executions after the first `known`. */
  const finished = async (which, known, count = 1) =>
    await eventually(`${count} executions of ${which.name} after ${known}`, async () => {
      const all = await executions(which);
      const done = all.filter(({ status }) => ['success', 'error', 'crashed'].includes(status));
      return done.length >= known + count && done.slice(0, done.length - known).reverse();
    });

  // A trigger with several events, and an action behind it.
  const first = await workflow(
    'Deal for each contact',
    node('ISAO Trigger', TRIGGER, { events: ['contact.created', 'deal.won'] }),
    node('ISAO', ACTION, {
      resource: 'contact',
      operation: 'update',
      contactId: { __rl: true, mode: 'id', value: '={{ $json.data.contact?.id ?? $json.data.id }}' },
      updateFields: { city: '={{ $json.event }}' },
    }),
  );
  await activate(first);
  let subscribed = await settled(1);
  check('activation makes one subscription for several events', subscribed.length === 1, subscribed);
  check('it has the events', String(subscribed[0].events) === 'contact.created,deal.won', subscribed[0]);
  check('it has the production URL', /\/webhook\/.+/.test(subscribed[0].target_url), subscribed[0].target_url);
  const productionUrl = subscribed[0].target_url;

  const jane = await contact();
  let [{ id: executionId }] = await finished(first, 0);
  let ran = await itemsOf(executionId);
  check('an event starts the workflow', ran.status === 'success' && ran.mode === 'webhook', ran);
  const [envelope] = ran.items['ISAO Trigger'];
  check('its item is the whole event', String(Object.keys(envelope)) === 'event,timestamp,data,metadata', envelope);
  check('with the record as the server has it', JSON.stringify(envelope.data) === JSON.stringify(jane), envelope.data);
  check('the action behind it was executed', (await api('GET', `/contacts/${jane.id}`)).city === 'contact.created');
  const deal = await api('POST', '/deals', { title: 'Licence', value: 12.5, contactId: jane.id });
  await api('PUT', `/deals/${deal.id}/status`, { status: 'won' });
  [{ id: executionId }] = await finished(first, 1);
  ran = await itemsOf(executionId);
  check('so does another event of the same trigger', ran.items['ISAO Trigger'][0].event === 'deal.won', ran);

  // What is not signed, or not by the server, does not start it.
  const body = JSON.stringify(envelope);
  const post = async (headers) =>
    await fetch(productionUrl, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });
  const unsigned = await post({});
  check('a delivery without a signature is refused with 403', unsigned.status === 403, await unsigned.text());
  const forged = await post({
    'webhook-id': 'event_1',
    'webhook-timestamp': String(Math.floor(Date.now() / 1000)),
    'webhook-signature': 'v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
  });
  check('a delivery with a wrong signature is refused with 403', forged.status === 403, await forged.text());
  await pause(QUIET_MS);
  check('neither starts the workflow', (await executions(first)).length === 2);

  // Two workflows on one event; the second with a filter, an order and more.
  const second = await workflow(
    'Only VIPs',
    node('ISAO Trigger', TRIGGER, {
      events: ['contact.created'],
      filters: { row: [{ field: 'tags', value: 'vip' }, { field: 'city', value: 'Paris' }, { field: 'city', value: 'Lyon' }] },
      options: { ordering: 'record', include: ['actor'] },
    }),
  );
  await activate(second);
  subscribed = await settled(2);
  check('a second workflow on the same event has its own subscription', subscribed.length === 2, subscribed);
  const filtered = subscribed.find(({ target_url }) => target_url !== productionUrl);
  check(
    'with its filters and its order',
    JSON.stringify(filtered.filters) === '{"city":["Lyon","Paris"],"tags":["vip"]}' && filtered.ordering === 'record',
    filtered,
  );
  await contact({ tags: ['vip'], city: 'Nice' });
  const vip = await contact({ tags: ['lead', 'vip'], city: 'Lyon' });
  await finished(first, 2, 2);
  [{ id: executionId }] = await finished(second, 0);
  ran = await itemsOf(executionId);
  check('both run for an event that both want', ran.items['ISAO Trigger'][0].data.id === vip.id, ran);
  check('with what it asked to be included', ran.items['ISAO Trigger'][0].metadata.actor?.type === 'api_key', ran);
  await pause(QUIET_MS);
  check('the filter keeps the other event away', (await executions(second)).length === 1);

  // A test run beside production.
  const before = (await executions(first)).length;
  const definition = await rest('GET', `/workflows/${first.id}`);
  const waiting = await rest('POST', `/workflows/${first.id}/run`, {
    workflowData: definition,
    triggerToStartFrom: { name: 'ISAO Trigger' },
  });
  check('a test run waits for an event', waiting.waitingForWebhook === true, waiting);
  subscribed = await subscriptions();
  check('it has a subscription of its own', subscribed.length === 3, subscribed);
  check('to the test URL', subscribed.some(({ target_url }) => target_url.includes('/webhook-test/')), subscribed);
  const tried = await contact({ name: 'Tested' });
  const both = await finished(first, before, 2);
  const modes = (await Promise.all(both.map(({ id }) => itemsOf(id)))).map((one) => `${one.mode} ${one.status}`);
  check('the event starts the test run and production', String(modes.sort()) === 'manual success,webhook success', modes);
  check('both with the signature checked', (await api('GET', `/contacts/${tried.id}`)).city === 'contact.created');
  await eventually('the subscription of the test run ends', async () => (await subscriptions()).length === 2);
  check('the subscription of the test run is gone, that of production is not', (await subscriptions()).some(({ target_url }) => target_url === productionUrl));
  await rest('POST', `/workflows/${first.id}/run`, { workflowData: definition, triggerToStartFrom: { name: 'ISAO Trigger' } });
  await rest('DELETE', `/test-webhook/${first.id}`);
  await eventually('the subscription of a cancelled test run ends', async () => (await subscriptions()).length === 2);
  check('a cancelled test run leaves no subscription behind', true);

  // Deactivation and activation.
  await deactivate(first);
  subscribed = await settled(1);
  check('deactivation ends the subscription', subscribed.length === 1 && subscribed[0].target_url !== productionUrl, subscribed);
  await activate(first);
  check('activation makes it anew', (await settled(2)).length === 2);
  await deactivate(first);
  await activate(first);
  await settled(2);
  await activate(first);
  subscribed = await settled(2);
  check('however often, there is only one', subscribed.filter(({ target_url }) => target_url === productionUrl).length === 1, subscribed);
  const count = (await executions(first)).length;
  await contact();
  await finished(first, count);
  check('it delivers again', (await executions(first)).length === count + 1);

  // The trigger of an active workflow is changed.
  const active = await rest('GET', `/workflows/${first.id}`);
  for (const { type, parameters } of active.nodes) {
    if (type === TRIGGER) parameters.events = ['contact.created', 'deal.lost'];
  }
  await rest('PATCH', `/workflows/${first.id}`, { nodes: active.nodes, connections: active.connections, versionId: active.versionId });
  await activate(first);
  const changedOne = await eventually('the subscription is changed', async () =>
    (await subscriptions()).find(({ target_url, events }) => target_url === productionUrl && events.includes('deal.lost')),
  );
  subscribed = await settled(2);
  check('a changed trigger leaves no second subscription', subscribed.filter(({ target_url }) => target_url === productionUrl).length === 1, subscribed);
  check('but one with the new events', String(changedOne.events) === 'contact.created,deal.lost', changedOne);

  // Somebody deletes the subscription on the server.
  const own = subscribed.find(({ target_url }) => target_url === productionUrl);
  await api('DELETE', `/webhooks/${own.subscription_id}`);
  await deactivate(first);
  await activate(first);
  check('a subscription that is gone is no obstacle', (await settled(2)).length === 2);
  await deactivate(first);
  await deactivate(second);
  check('in the end there is none', (await settled(0)).length === 0);

  // The lists of the forms.
  const dynamic = async (kind, path, methodName, type, currentNodeParameters = {}, extra = {}) =>
    await rest('POST', `/dynamic-node-parameters/${kind}`, {
      path,
      methodName,
      nodeTypeAndVersion: { name: type, version: 1 },
      currentNodeParameters,
      credentials,
      projectId: definition.homeProject?.id,
      ...extra,
    });
  const located = async (methodName, filter) =>
    (await dynamic('resource-locator-results', 'parameters.contactId', methodName, ACTION, {}, filter ? { filter } : {})).results;
  check('contacts can be searched', (await located('searchContacts', 'Tested'))[0]?.value === tried.id);
  check('deals can be searched', (await located('searchDeals', 'Licence'))[0]?.value === deal.id);
  check('members can be searched', (await located('searchMembers', 'alice'))[0]?.value === isao.memberId);
  check('stages can be searched', (await located('searchStages'))[0]?.value === 'new');
  const options = await dynamic('options', 'parameters.filters.row.field', 'getFilterFields', TRIGGER, {
    events: ['contact.created', 'deal.created'],
  });
  check('filters are the fields that all events have', String(options.map(({ value }) => value)) === 'id,createdAt,updatedAt', options);
  const changed = await dynamic('options', 'parameters.options.changed', 'getChangedFields', TRIGGER, { events: ['deal.updated'] });
  check('changed fields are those of the events', changed.some(({ value }) => value === 'stage'), changed);

  // Each action.
  const runAction = async (parameters, extra) => {
    const actions = await workflow(
      `${parameters.resource} ${parameters.operation}`,
      node('Start', 'n8n-nodes-base.manualTrigger', {}),
      node('ISAO', ACTION, parameters, extra),
    );
    const full = await rest('GET', `/workflows/${actions.id}`);
    await rest('POST', `/workflows/${actions.id}/run`, { workflowData: full, triggerToStartFrom: { name: 'Start' } });
    const [{ id }] = await finished(actions, 0);
    const result = await itemsOf(id);
    return { items: result.items.ISAO ?? [], status: result.status, error: result.error };
  };
  const by = (value) => ({ __rl: true, mode: 'id', value });
  const action = async (what, parameters, holds) => {
    const result = await runAction(parameters);
    check(`${parameters.resource}, ${parameters.operation}: ${what}`, result.status === 'success' && holds(result.items), result);
    return result.items[0] ?? {};
  };

  const number = phone();
  const email = `jo${randomInt(1e9)}@example.com`;
  const made = await action(
    'makes one',
    { resource: 'contact', operation: 'create', name: 'Jo Doe', phoneNumber: number, additionalFields: { email, tags: 'lead, vip' } },
    ([it]) => it.name === 'Jo Doe' && String(it.tags) === 'lead,vip',
  );
  await action('finds it', { resource: 'contact', operation: 'get', contactId: by(made.id) }, ([it]) => it.id === made.id);
  await action(
    'changes and clears',
    { resource: 'contact', operation: 'update', contactId: by(made.id), updateFields: { city: 'Metz' }, clear: ['tags'] },
    ([it]) => it.city === 'Metz' && it.tags.length === 0 && it.email === email,
  );
  await action(
    'updates the one with the number',
    { resource: 'contact', operation: 'upsert', name: 'Jo D.', phoneNumber: number, matchBy: ['phoneNumber', 'email'], additionalFields: { email } },
    ([it]) => it.id === made.id && it.name === 'Jo D.',
  );
  await action(
    'updates the one with the address',
    { resource: 'contact', operation: 'upsert', name: 'Jo', phoneNumber: phone(), matchBy: ['phoneNumber', 'email'], additionalFields: { email: email.toUpperCase() } },
    ([it]) => it.id === made.id,
  );
  await action(
    'makes one that is new',
    { resource: 'contact', operation: 'upsert', name: 'New', phoneNumber: phone(), matchBy: ['phoneNumber'] },
    ([it]) => it.name === 'New' && it.id !== made.id,
  );
  for (let index = 0; index < 230; index += 1) await contact({ name: `Many ${index}`, tags: ['many'] });
  await action(
    'reads all pages',
    { resource: 'contact', operation: 'getAll', returnAll: true, filters: { tags: 'many' } },
    (items) => items.length === 230 && new Set(items.map(({ id }) => id)).size === 230,
  );
  await action(
    'reads up to the limit',
    { resource: 'contact', operation: 'getAll', returnAll: false, limit: 7, filters: { search: 'Many' } },
    (items) => items.length === 7,
  );

  const sold = await action(
    'makes one',
    {
      resource: 'deal',
      operation: 'create',
      title: 'Enterprise',
      additionalFields: { value: 1234.56, contactId: by(made.id), assignedToId: by(isao.memberId), stage: by('proposal'), expectedCloseDate: '2030-12-31T00:00:00.000Z' },
    },
    ([it]) => it.value === 1234.56 && it.contact.id === made.id && it.assignedTo.id === isao.memberId && it.stage === 'proposal',
  );
  await action('finds it', { resource: 'deal', operation: 'get', dealId: by(sold.id) }, ([it]) => it.id === sold.id);
  await action(
    'changes and clears',
    { resource: 'deal', operation: 'update', dealId: by(sold.id), updateFields: { priority: 'high' }, clear: ['assignedToId'] },
    ([it]) => it.priority === 'high' && it.assignedTo === null,
  );
  await action(
    'marks it as won',
    { resource: 'deal', operation: 'setStatus', dealId: by(sold.id), status: 'won', additionalFields: { stage: by('closed') } },
    ([it]) => it.status === 'won' && it.stage === 'closed',
  );
  await action(
    'lists by filters',
    { resource: 'deal', operation: 'getAll', returnAll: true, filters: { status: 'won', contactId: by(made.id) } },
    (items) => items.length === 1 && items[0].id === sold.id,
  );
  await action('deletes it', { resource: 'deal', operation: 'delete', dealId: by(sold.id) }, ([it]) => it.deleted === true);

  const target = `${n8n.url}/healthz`;
  const hook = await action(
    'makes one',
    { resource: 'webhook', operation: 'create', events: ['deal.won', 'deal.lost'], target_url: target, additionalFields: { filters: '{"priority":"high"}', ordering: 'record' } },
    ([it]) => it.events.length === 2 && it.ordering === 'record' && it.filters.priority,
  );
  const id = by(hook.subscription_id);
  await action('finds it', { resource: 'webhook', operation: 'get', subscriptionId: id }, ([it]) => it.target_url === target);
  await action('pauses it', { resource: 'webhook', operation: 'update', subscriptionId: id, updateFields: { is_active: false } }, ([it]) => it.is_active === false);
  await action('lists it', { resource: 'webhook', operation: 'getAll', returnAll: true, filters: { status: 'all' } }, (items) => items.length === 1);
  await action('resumes it', { resource: 'webhook', operation: 'update', subscriptionId: id, updateFields: { is_active: true } }, ([it]) => it.is_active === true);
  const since = new Date(Date.now() - 3600_000).toISOString();
  await action(
    'counts what it would send',
    { resource: 'webhook', operation: 'replay', subscriptionId: id, since, only: 'all', additionalFields: { dryRun: true } },
    ([it]) => it !== undefined,
  );
  await action(
    'begins',
    { resource: 'webhook', operation: 'replay', subscriptionId: id, since, only: 'undelivered' },
    ([it]) => it.id.startsWith('replay_'),
  );
  await action('deletes it', { resource: 'webhook', operation: 'delete', subscriptionId: id }, ([it]) => it.deleted === true);
  await action('deletes it', { resource: 'contact', operation: 'delete', contactId: by(made.id) }, ([it]) => it.deleted === true);

  // Errors say what the server says.
  const refused = await runAction({ resource: 'contact', operation: 'create', name: 'No', phoneNumber: '3.361E+10' });
  check('a refusal fails the run', refused.status === 'error', refused);
  check('and names the bad field', JSON.stringify(refused.error).includes('phoneNumber'), refused.error);
  const continued = await runAction(
    { resource: 'contact', operation: 'get', contactId: by('contact_none') },
    { onError: 'continueRegularOutput' },
  );
  check('with "continue on fail" the error is the item', continued.items[0]?.error !== undefined, continued);
}

const isao = await startServer(process.env.ISAO_BIN);
let n8n;
try {
  n8n = await startN8n();
  await main(isao, n8n);
} catch (error) {
  failed += 1;
  console.error(`FAIL ${error.stack}`);
} finally {
  await n8n?.stop();
  await isao.stop();
}
if (process.env.N8N_LOG && n8n) await writeFile(process.env.N8N_LOG, n8n.log());
console.log(`${passed} checks passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
