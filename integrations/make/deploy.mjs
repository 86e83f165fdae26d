#!/usr/bin/env node
// Uploads the app to Make: creates what is missing, and updates the rest.
//
//   MAKE_ZONE=eu1.make.com MAKE_TOKEN=… node deploy.mjs APP
//
// APP is the name that the app has, or is to have, in Make; it is created as a private app. The
// token needs the scopes sdk-apps:read and sdk-apps:write. With --dry-run nothing is sent.
import { readFileSync } from 'node:fs';
import { Make } from '@makehq/sdk';

const APP = new URL('./app/', import.meta.url);
const VERSION = 1;

/** The numbers that Make has for the types of modules. */
const TYPE_IDS = { action: 4, search: 9, instant_trigger: 10 };

/** What Make calls the sections that our files hold. */
const SECTIONS = {
  communication: 'api',
  params: 'parameters',
  staticParams: 'parameters',
  mappableParams: 'expect',
  interface: 'interface',
  samples: 'samples',
  attach: 'attach',
  detach: 'detach',
};

const dryRun = process.argv.includes('--dry-run');
const [name] = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const { MAKE_ZONE, MAKE_TOKEN } = process.env;
if (!name || (!dryRun && (!MAKE_ZONE || !MAKE_TOKEN))) {
  console.error('Usage: MAKE_ZONE=eu1.make.com MAKE_TOKEN=… node deploy.mjs [--dry-run] APP');
  process.exit(2);
}

const text = (path) => readFileSync(new URL(path, APP), 'utf8');
const manifest = JSON.parse(text('makecomapp.json'));
const { sdk } = new Make(MAKE_TOKEN ?? '', MAKE_ZONE ?? '');

/** Does one step, and says which. */
async function step(what, action) {
  console.log(what);
  return dryRun ? undefined : await action();
}

/** What Make has already; nothing in a dry run. */
const existing = async (action) => (dryRun ? [] : await action());

/** Uploads the files of a component. */
async function upload(component, setSection) {
  for (const [code, path] of Object.entries(component.codeFiles)) {
    await step(`  ${path}`, () => setSection(SECTIONS[code], text(path)));
  }
}

const apps = await existing(() => sdk.apps.list());
if (!apps.some((app) => app.name === name && app.version === VERSION)) {
  const body = { name, label: 'ISAO', description: 'The CRM events, contacts and deals of ISAO', theme: '#1d4ed8', language: 'en', audience: 'global', private: true };
  await step(`create the app ${name}`, () => sdk.apps.create(body));
}

/** The names that Make gave to connections and webhooks, by ours. */
const named = { connection: {}, webhook: {} };

// Make names connections and webhooks itself, so they are found by their labels.
const connections = await existing(() => sdk.connections.list(name));
for (const [id, component] of Object.entries(manifest.components.connection)) {
  const { label, connectionType: type } = component;
  const found =
    connections.find((one) => one.label === label) ??
    (await step(`create the connection ${label}`, () => sdk.connections.create(name, { label, type })));
  named.connection[id] = found?.name ?? id;
  await upload(component, (section, body) => sdk.connections.setSection(named.connection[id], section, body));
}

const webhooks = await existing(() => sdk.webhooks.list(name));
for (const [id, component] of Object.entries(manifest.components.webhook)) {
  const { label, webhookType: type } = component;
  const connection = named.connection[component.connection];
  const found =
    webhooks.find((one) => one.label === label) ??
    (await step(`create the webhook ${label}`, () => sdk.webhooks.create(name, { label, type, connection })));
  named.webhook[id] = found?.name ?? id;
  await step(`update the webhook ${label}`, () => sdk.webhooks.update(named.webhook[id], { label, connection }));
  await upload(component, (section, body) => sdk.webhooks.setSection(named.webhook[id], section, body));
}

const rpcs = await existing(() => sdk.rpcs.list(name, VERSION));
for (const [id, component] of Object.entries(manifest.components.rpc)) {
  const { label } = component;
  const connection = named.connection[component.connection];
  if (!rpcs.some((one) => one.name === id)) {
    await step(`create the procedure ${id}`, () => sdk.rpcs.create(name, VERSION, { name: id, label, connection }));
  }
  await step(`update the procedure ${id}`, () => sdk.rpcs.update(name, VERSION, id, { label, connection }));
  await upload(component, (section, body) => sdk.rpcs.setSection(name, VERSION, id, section, body));
}

const modules = await existing(() => sdk.modules.list(name, VERSION));
for (const [id, component] of Object.entries(manifest.components.module)) {
  const { label, description, moduleType, actionCrud: crud } = component;
  const references = {
    ...(component.connection && { connection: named.connection[component.connection] }),
    ...(component.webhook && { webhook: named.webhook[component.webhook] }),
  };
  const body = { label, description, typeId: TYPE_IDS[moduleType], ...(crud && { crud }), ...references };
  if (!modules.some((one) => one.name === id)) {
    await step(`create the module ${id}`, () =>
      sdk.modules.create(name, VERSION, { name: id, moduleInitMode: 'blank', ...body }),
    );
  }
  await step(`update the module ${id}`, () => sdk.modules.update(name, VERSION, id, body));
  await upload(component, (section, content) => sdk.modules.setSection(name, VERSION, id, section, content));
}

const { base, groups, readme } = manifest.generalCodeFiles;
await step(base, () => sdk.apps.setSection(name, VERSION, 'base', text(base)));
await step(groups, () => sdk.apps.setSection(name, VERSION, 'groups', text(groups)));
await step(readme, () => sdk.apps.setDocs(name, VERSION, text(readme)));
console.log(dryRun ? 'Nothing was sent.' : `The app ${name} is up to date.`);
