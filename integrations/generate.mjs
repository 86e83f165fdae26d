#!/usr/bin/env node
// Writes the catalogue of each integration: the events, samples and fields of the API, as
// openapi.json describes them.
//
//   node integrations/generate.mjs           writes the files
//   node integrations/generate.mjs --check   fails if a file is not what it would write
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(HERE);

/** The operations whose request bodies the integrations offer as fields. */
const INPUT_OPERATIONS = ['createContact', 'createDeal', 'updateDealStatus'];

/** Text longer than this does not fit on one line of a form. */
const MAX_LINE_LENGTH = 1000;

/** The files to write, each with how it holds the catalogue. */
const TARGETS = [{ file: join(HERE, 'zapier/src/catalogue.ts'), render: typescript }];

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
    const { data } = propertiesOf(schema);
    const record = nameOf(data);
    records[record] ??= fieldsOf(data);
    return { event, summary: post.summary, record, sample: example.data };
  });

  const inputs = {};
  for (const methods of Object.values(document.paths)) {
    for (const operation of Object.values(methods)) {
      if (!INPUT_OPERATIONS.includes(operation.operationId)) continue;
      inputs[operation.operationId] = fieldsOf(operation.requestBody.content['application/json'].schema);
    }
  }
  const missing = INPUT_OPERATIONS.filter((id) => !inputs[id]);
  if (missing.length > 0) throw new Error(`openapi.json has no operation ${missing.join(', ')}`);

  return { events, records, inputs };
}

function typescript(content) {
  return `// Generated from openapi.json by integrations/generate.mjs; changes belong there.

export interface Field {
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
}

export interface Event {
  event: string;
  summary: string;
  /** The record that the event is about: a key of \`records\`. */
  record: string;
  sample: { id: string; [field: string]: unknown };
}

export const events: Event[] = ${JSON.stringify(content.events, null, 2)};

export const records: Record<${unionOf(content.records)}, Field[]> = ${JSON.stringify(content.records, null, 2)};

export const inputs: Record<${unionOf(content.inputs)}, Field[]> = ${JSON.stringify(content.inputs, null, 2)};
`.replace('record: string;', `record: ${unionOf(content.records)};`);
}

const unionOf = (object) => Object.keys(object).map((key) => `'${key}'`).join(' | ');

const check = process.argv.includes('--check');
const content = catalogue();
for (const { file, render } of TARGETS) {
  const text = render(content);
  const name = relative(ROOT, file);
  if (!check) {
    writeFileSync(file, text);
    console.log(`wrote ${name}`);
    continue;
  }
  let present;
  try {
    present = readFileSync(file, 'utf8');
  } catch {
    present = undefined;
  }
  if (present === text) {
    console.log(`${name} agrees with openapi.json`);
  } else {
    console.error(`${name} does not agree with openapi.json: run \`node integrations/generate.mjs\` and commit the file`);
    process.exitCode = 1;
  }
}
