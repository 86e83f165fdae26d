#!/usr/bin/env node
// Writes the catalogue of each integration: the events, samples and fields of the API, as
// openapi.json describes them.
//
//   node integrations/generate.mjs           writes the files
//   node integrations/generate.mjs --check   fails if a file is not what it would write
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { app } from './make/definitions.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(HERE);

/** The operations whose request bodies the integrations offer as fields. */
const INPUT_OPERATIONS = ['createContact', 'createDeal', 'updateDealStatus'];

/** Text longer than this does not fit on one line of a form. */
const MAX_LINE_LENGTH = 1000;

/** The operations whose query parameters the integrations offer as filters of a list. */
const LIST_OPERATIONS = ['listContacts', 'listDeals'];

/** The query parameters that every list has, and that no user of a form sees. */
const PAGING_PARAMETERS = ['page', 'limit', 'cursor'];

/** The fields of a record that no request sets: a record does not change in these alone. */
const SET_BY_SERVER = ['id', 'createdAt', 'updatedAt', 'previousStage'];

const document = JSON.parse(readFileSync(join(ROOT, 'openapi.json'), 'utf8'));

/** Follows a `$ref`; what stands beside the reference has priority. */
function resolve(schema) {
  if (!schema.$ref) return schema;
  const { $ref, ...beside } = schema;
  const target = $ref.slice(2).split('/').reduce((at, key) => at[key], document);
  return { ...resolve(target), ...beside };
}

/** The name of the schema that a reference leads to. */
const nameOf = (schema) => schema.$ref.split('/').at(-1);

/** The properties of an object, also of one that is composed of several. */
function propertiesOf(schema) {
  const resolved = resolve(schema);
  return Object.assign({}, ...(resolved.allOf ?? []).map(propertiesOf), resolved.properties);
}

/** A schema without its `null`, and whether it had one. */
function withoutNull(schema) {
  const resolved = resolve(schema);
  if (Array.isArray(resolved.type)) {
    const types = resolved.type.filter((type) => type !== 'null');
    if (types.length !== 1) throw new Error(`more than one type: ${JSON.stringify(schema)}`);
    return { nullable: types.length < resolved.type.length, schema: { ...resolved, type: types[0] } };
  }
  if (resolved.oneOf) {
    const others = resolved.oneOf.filter((one) => one.type !== 'null');
    if (others.length !== 1) throw new Error(`more than one alternative: ${JSON.stringify(schema)}`);
    return { nullable: others.length < resolved.oneOf.length, schema: resolve(others[0]) };
  }
  return { nullable: false, schema: resolved };
}

function typeOf(schema) {
  if (schema.format === 'date-time') return 'datetime';
  if (schema.type === 'string' && schema.maxLength > MAX_LINE_LENGTH) return 'text';
  if (!['string', 'number', 'integer', 'boolean', 'object'].includes(schema.type)) {
    throw new Error(`a type that no form has: ${JSON.stringify(schema)}`);
  }
  return schema.type;
}

function fieldOf(key, property) {
  const { nullable, schema: outer } = withoutNull(property);
  const list = outer.type === 'array';
  const inner = list ? withoutNull(outer.items).schema : outer;
  const description = (outer.description ?? '').replace(/\s+/g, ' ');
  return {
    key,
    type: typeOf(inner),
    description,
    ...(list && { list }),
    ...(nullable && { nullable }),
    // A body that creates and a body that changes share their schema, so their text tells.
    ...(description.startsWith('Required when') && { required: true }),
    ...(inner.enum && { choices: inner.enum }),
    ...(inner.type === 'object' && { fields: fieldsOf(inner) }),
  };
}

const fieldsOf = (schema) =>
  Object.entries(propertiesOf(schema)).map(([key, property]) => fieldOf(key, property));

function catalogue() {
  const records = {};
  const events = Object.entries(document.webhooks).map(([event, { post }]) => {
    const { schema, example } = post.requestBody.content['application/json'];
    const { data, previous } = propertiesOf(schema);
    const record = nameOf(data);
    const fields = (records[record] ??= fieldsOf(data));
    return {
      event,
      summary: post.summary,
      record,
      sample: example.data,
      // Filters compare values, and an object is none.
      filters: fields.filter(({ type }) => type !== 'object').map(({ key }) => key),
      // Only events about a change can carry what was there before.
      changed: previous ? fields.map(({ key }) => key).filter((key) => !SET_BY_SERVER.includes(key)) : [],
    };
  });

  const inputs = {};
  const queries = {};
  for (const methods of Object.values(document.paths)) {
    for (const { operationId, requestBody, parameters } of Object.values(methods)) {
      if (INPUT_OPERATIONS.includes(operationId)) {
        inputs[operationId] = fieldsOf(requestBody.content['application/json'].schema);
      }
      if (LIST_OPERATIONS.includes(operationId)) {
        queries[operationId] = parameters
          .filter(({ name }) => !PAGING_PARAMETERS.includes(name))
          .map(({ name, description, schema }) => fieldOf(name, { ...resolve(schema), description }));
      }
    }
  }
  const missing = [
    ...INPUT_OPERATIONS.filter((id) => !inputs[id]),
    ...LIST_OPERATIONS.filter((id) => !queries[id]),
  ];
  if (missing.length > 0) throw new Error(`openapi.json has no operation ${missing.join(', ')}`);

  return { events, records, inputs, queries };
}

/** The catalogue without the filters of events and lists: Zapier's forms offer their own. */
const withoutFilters = ({ events, records, inputs }) => ({
  events: events.map(({ filters: _filters, changed: _changed, ...event }) => event),
  records,
  inputs,
});

const FIELD_TYPE = `export interface Field {
  key: string;
  type: 'string' | 'text' | 'number' | 'integer' | 'boolean' | 'datetime' | 'object';
  description: string;
  /** Whether the field has several values of this type. */
  list?: true;
  nullable?: true;
  /** Whether a record cannot be created without the field. */
  required?: true;
  choices?: string[];
  /** The fields of an object. */
  fields?: Field[];
}`;

const FILTER_TYPES = `
  /** The fields that \`filters\` of a subscription can compare. */
  filters: string[];
  /** The fields that the filter \`changed\` can name; empty for events that change no field. */
  changed: string[];`;

/** The catalogue as a module of TypeScript. */
function typescript({ events, records, inputs, queries }) {
  const constant = (name, type, value) => `export const ${name}: ${type} = ${JSON.stringify(value, null, 2)};\n`;
  const fieldsBy = (object) => `Record<${unionOf(object)}, Field[]>`;
  return [
    `// Generated from openapi.json by integrations/generate.mjs; changes belong there.

${FIELD_TYPE}

export interface Event {
  event: string;
  summary: string;
  /** The record that the event is about: a key of \`records\`. */
  record: ${unionOf(records)};
  sample: { id: string; [field: string]: unknown };${events[0].filters ? FILTER_TYPES : ''}
}
`,
    constant('events', 'Event[]', events),
    constant('records', fieldsBy(records), records),
    constant('inputs', fieldsBy(inputs), inputs),
    ...(queries ? [constant('queries', fieldsBy(queries), queries)] : []),
  ].join('\n');
}

const unionOf = (object) => Object.keys(object).map((key) => `'${key}'`).join(' | ');

const content = catalogue();

/** The directories that hold nothing but generated files. */
const GENERATED = ['make/app'];

/** The files to write, each with its text. */
const targets = {
  'zapier/src/catalogue.ts': typescript(withoutFilters(content)),
  'n8n-nodes-isao/shared/catalogue.ts': typescript(content),
  ...Object.fromEntries(Object.entries(app(content)).map(([path, text]) => [`make/app/${path}`, text])),
};

/** The files there that are not to be there. */
const stale = GENERATED.filter((path) => existsSync(join(HERE, path)))
  .flatMap((path) =>
    readdirSync(join(HERE, path), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(HERE, join(entry.parentPath, entry.name))),
  )
  .filter((path) => !(path in targets));

const check = process.argv.includes('--check');
const differing = Object.keys(targets).filter((path) => {
  const file = join(HERE, path);
  return !existsSync(file) || readFileSync(file, 'utf8') !== targets[path];
});
for (const path of [...differing, ...stale]) {
  const file = join(HERE, path);
  const name = relative(ROOT, file);
  if (check) {
    console.error(`${name} does not agree with openapi.json: run \`node integrations/generate.mjs\` and commit the file`);
    process.exitCode = 1;
  } else if (path in targets) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, targets[path]);
    console.log(`wrote ${name}`);
  } else {
    rmSync(file);
    console.log(`removed ${name}`);
  }
}
if (differing.length + stale.length === 0) {
  console.log(`${Object.keys(targets).length} files agree with openapi.json`);
}
