// Checks the files of the app: by the vendor's schemas, and by the references between them.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, test } from 'node:test';
import languageService from 'vscode-json-languageservice';
import { base, code, manifest, read, text } from './app.mjs';
import { expressionsIn } from './iml.mjs';

const { getLanguageService, TextDocument } = languageService;

const SCHEMAS = new URL('../schemas/', import.meta.url);
const APP = new URL('../app/', import.meta.url);

/** Which schema a file has, by the end of its name: as in the vendor's extension. */
const SCHEMA_OF = [
  ['makecomapp.json', 'makecomapp.schema.json'],
  ['groups.json', 'groups.json'],
  ['common.json', 'common.json'],
  ['base.iml.json', 'base.json'],
  ['.communication.iml.json', 'api.json'],
  ['.attach.iml.json', 'api.json'],
  ['.detach.iml.json', 'api.json'],
  ['.params.iml.json', 'parameters.json'],
  ['.static-params.iml.json', 'parameters.json'],
  ['.mappable-params.iml.json', 'parameters.json'],
  ['.interface.iml.json', 'parameters.json'],
  ['.samples.iml.json', 'samples.json'],
];

const service = getLanguageService({
  schemaRequestService: async (uri) => {
    if (!uri.startsWith('file:')) throw new Error(`not here: ${uri}`);
    return readFileSync(new URL(uri), 'utf8');
  },
  workspaceContext: { resolveRelativePath: (path, from) => new URL(path, from).href },
});

/** What the vendor's schema finds wrong with a file. */
async function problems(path, content, schema) {
  const document = TextDocument.create(new URL(path, APP).href, 'json', 1, content);
  const uri = new URL(schema, SCHEMAS).href;
  service.configure({ validate: true, schemas: [{ uri, fileMatch: ['*'] }] });
  const found = await service.doValidation(document, service.parseJSONDocument(document));
  return found.map(({ message, range }) => `${path}:${range.start.line + 1}: ${message}`);
}

const files = readdirSync(APP, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => `${entry.parentPath}/${entry.name}`.slice(APP.pathname.length).replace(/^\//, ''));
const components = Object.entries(manifest.components).flatMap(([type, all]) =>
  Object.entries(all).map(([id, component]) => ({ type, id, ...component })),
);

describe('the files', () => {
  for (const path of files.filter((one) => one.endsWith('.json'))) {
    test(`${path} is valid`, async () => {
      const [, schema] = SCHEMA_OF.find(([end]) => basename(path).endsWith(end)) ?? [];
      assert.ok(schema, 'no schema is known for this name');
      assert.deepEqual(await problems(path, text(path), schema), []);
    });
  }

  test('would be found invalid', async () => {
    const wrong = [
      ['x.communication.iml.json', '{"url": "/x", "method": "FETCH"}', 'api.json'],
      ['x.attach.iml.json', '{"url": "/x", "method": "POST"}', 'api.json'],
      ['x.params.iml.json', '[{"name": "x", "type": "txt"}]', 'parameters.json'],
      ['base.iml.json', '{"bseUrl": "x"}', 'base.json'],
      ['makecomapp.json', '{"fileVersion": 1}', 'makecomapp.schema.json'],
    ];
    for (const [path, content, schema] of wrong) {
      assert.notDeepEqual(await problems(path, content, schema), [], path);
    }
  });

  test('are those that makecomapp.json names, and each is named once', () => {
    const named = [
      ...Object.values(manifest.generalCodeFiles),
      ...components.flatMap(({ codeFiles }) => Object.values(codeFiles)),
      'makecomapp.json',
    ];
    assert.deepEqual(named.toSorted(), files.toSorted());
  });
});

describe('the components', () => {
  const names = { connection: /^[a-zA-Z][\w-]{1,33}[a-zA-Z0-9]$/, webhook: /^[a-zA-Z][\w-]{1,33}[a-zA-Z0-9]$/ };

  test('have names that Make accepts', () => {
    for (const { type, id } of components) assert.match(id, names[type] ?? /^[a-zA-Z][0-9a-zA-Z]{2,47}$/);
  });

  test('refer to components that exist', () => {
    for (const { id, connection, webhook, moduleType } of components) {
      if (connection) assert.ok(manifest.components.connection[connection], `${id}: ${connection}`);
      if (webhook) assert.ok(manifest.components.webhook[webhook], `${id}: ${webhook}`);
      if (moduleType === 'instant_trigger') assert.ok(webhook, id);
      else if (moduleType) assert.ok(connection, id);
    }
  });

  test('call procedures that exist, and each procedure is called', () => {
    const called = files.filter((path) => path.endsWith('.json')).flatMap((path) =>
      [...text(path).matchAll(/rpc:\/\/(\w+)/g)].map(([, id]) => id),
    );
    assert.deepEqual([...new Set(called)].sort(), Object.keys(manifest.components.rpc).sort());
  });

  test('are all in one group', () => {
    const grouped = read(manifest.generalCodeFiles.groups).flatMap(({ modules }) => modules);
    assert.deepEqual(grouped.toSorted(), Object.keys(manifest.components.module).sort());
  });

  test('refer to parameters that their forms have', () => {
    for (const { type, id, codeFiles } of components) {
      const forms = ['params', 'staticParams', 'mappableParams'].filter((name) => codeFiles[name]);
      const known = forms.flatMap((name) => code(type, id, name)).map(({ name }) => name);
      for (const name of ['communication', 'attach', 'detach'].filter((one) => codeFiles[one])) {
        for (const source of expressionsIn(code(type, id, name))) {
          for (const [, parameter] of source.matchAll(/parameters\.(\w+)/g)) {
            assert.ok(known.includes(parameter), `${id}, ${name}: ${parameter}`);
          }
        }
      }
    }
  });

  test('refer to what the connection has', () => {
    const known = code('connection', 'isao', 'params').map(({ name }) => name);
    for (const source of expressionsIn(base)) {
      for (const [, parameter] of source.matchAll(/connection\.(\w+)/g)) assert.ok(known.includes(parameter), parameter);
    }
  });

  test('keep the key out of the logs', () => {
    for (const { log } of [base, code('connection', 'isao', 'communication')]) {
      assert.ok(log.sanitize.includes('request.headers.authorization'));
    }
  });
});

/** The names and types of a record that an interface does not describe. */
function undescribed(record, fields, path = '') {
  const types = { text: 'string', number: 'number', integer: 'number', date: 'string', boolean: 'boolean' };
  return Object.entries(record).flatMap(([key, value]) => {
    const field = fields.find(({ name }) => name === key);
    if (!field) return [`${path}${key} is missing`];
    if (value === null) return [];
    if (field.type === 'collection') return undescribed(value, field.spec, `${path}${key}.`);
    const actual = Array.isArray(value) ? 'array' : typeof value;
    return actual === (types[field.type] ?? field.type) ? [] : [`${path}${key} is ${actual}, not ${field.type}`];
  });
}

test('samples have the fields of the interfaces', () => {
  for (const id of Object.keys(manifest.components.module)) {
    const fields = code('module', id, 'interface');
    const sample = code('module', id, 'samples');
    assert.deepEqual(undescribed(sample, fields), [], id);
    assert.deepEqual(Object.keys(sample), fields.map(({ name }) => name), id);
  }
});
