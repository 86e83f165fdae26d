// Zapier's checks of a definition. Zapier runs them on its own servers; those that can be
// computed here are computed here, under Zapier's numbers.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import zapier from 'zapier-platform-core';
import App from '../../src/index.js';
import { serverUrl } from '../../src/server.js';
import { differences, flattened } from '../shape.js';

type Item = Record<string, any>;

const handler = (zapier as any).createAppHandler(App);
const results = async (command: string) => (await handler({ command })).results;
const app: Item = await results('definition');

const triggers: Item[] = Object.values(app.triggers);
const creates: Item[] = Object.values(app.creates);
const searches: Item[] = Object.values(app.searches);
const all = [...triggers, ...creates, ...searches];
const hooks = triggers.filter(({ operation }) => operation.type === 'hook');
const fieldsOf = ({ operation }: Item): Item[] => operation.inputFields ?? [];
const inputs = all.flatMap((one) => fieldsOf(one).map((field) => ({ of: one.key, ...field }) as Item));
const authFields: Item[] = app.authentication.fields;

/** The words that a title does not capitalize. */
const SMALL_WORDS = ['a', 'an', 'and', 'by', 'for', 'in', 'of', 'on', 'or', 'the', 'to', 'with'];
const isTitle = (text: string) =>
  text.split(' ').every((word, at) => /^[A-Z0-9]/.test(word) || (at > 0 && SMALL_WORDS.includes(word)));

test('Zapier finds no structural error', async () => {
  expect(await results('validate')).toEqual([]);
});

test('the definition has what the integration offers', () => {
  expect(hooks).toHaveLength(7);
  expect(triggers).toHaveLength(11);
  expect(creates).toHaveLength(5);
  expect(searches).toHaveLength(2);
});

test('the version is that of the package', () => {
  const { version, dependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
  expect(app.version).toBe(version);
  expect(app.platformVersion).toBe(dependencies['zapier-platform-core']);
});

describe('connection', () => {
  test('D001: no action asks for the key', () => {
    expect(inputs.filter(({ key, type }) => type === 'password' || /api.?key|token|secret|^key$/i.test(key))).toEqual([]);
  });

  test('D002: the help of the key has a link to where keys are made', () => {
    const { helpText } = authFields.find(({ key }) => key === 'api_key')!;
    expect(helpText).toContain(']({{bundle.authData.base_url}}/dashboard/settings/api-keys)');
  });

  test('D003: the label of a connection tells it from others', () => {
    expect(app.authentication.connectionLabel).toMatch(/\{\{\w+\}\}/);
  });

  test('D026: an address that a user enters is checked', () => {
    expect(authFields.map(({ key }) => key)).toContain('base_url');
    expect(() => serverUrl('nonsense')).toThrow();
  });

  test('the key is not shown', () => {
    expect(authFields.find(({ key }) => key === 'api_key')!.type).toBe('password');
  });
});

describe('fields', () => {
  test('D004: ids are chosen from a dropdown', () => {
    const ids = inputs.filter(({ key }) => key === 'id' || /(Id|_id)$/.test(key));
    expect(ids.length).toBeGreaterThan(0);
    expect(ids.filter(({ dynamic }) => !dynamic)).toEqual([]);
  });

  test('D005, D013, D015: what a dropdown refers to is there', () => {
    for (const { dynamic, search } of inputs) {
      if (dynamic) {
        const [trigger, id, label] = dynamic.split('.');
        expect(app.triggers[trigger], dynamic).toBeDefined();
        const keys = app.triggers[trigger].operation.outputFields.map(({ key }: Item) => key);
        expect(keys, dynamic).toEqual(expect.arrayContaining([id, label]));
      }
      if (search) {
        const [name, id] = search.split('.');
        expect(app.searches[name], search).toBeDefined();
        expect(app.searches[name].operation.sample).toHaveProperty(id);
      }
    }
  });

  test('D014: a field with a search has a dropdown', () => {
    expect(inputs.filter(({ dynamic, search }) => search && !dynamic)).toEqual([]);
  });

  test('D011: help is not the label once more', () => {
    const words = (text = '') => text.replace(/^The /, '').replace(/\W/g, '').toLowerCase();
    const repeats = [...inputs, ...authFields].filter(({ label, helpText }) => words(helpText) === words(label));
    expect(repeats).toEqual([]);
  });

  test('D008: links are written as Markdown', () => {
    const texts = [...inputs, ...authFields].map(({ helpText }) => helpText ?? '').concat(all.map(({ display }) => display.description));
    expect(texts.filter((text) => /(?<!\]\()https?:\/\/\w/.test(text))).toEqual([]);
  });

  test('D018: labels are in title case', () => {
    const labels = [
      ...[...inputs, ...authFields].map(({ label }) => label),
      ...all.map(({ display }) => display.label),
      ...all.flatMap(({ operation }) => operation.outputFields.map(({ label }: Item) => label)),
    ];
    expect(labels.filter((label) => !label || !isTitle(label))).toEqual([]);
  });

  test('no form has a key twice', () => {
    for (const one of all) {
      const keys = fieldsOf(one).map(({ key }) => key);
      expect(new Set(keys).size, one.key).toBe(keys.length);
    }
  });

  test('help is a sentence that fits its form', () => {
    const texts: Item[] = inputs.filter(({ helpText }) => helpText);
    expect(texts.filter(({ helpText }) => !/^[A-Z0-9].*\.$/.test(helpText))).toEqual([]);
    const updates = texts.filter(({ of }) => /^(update|set)_/.test(of));
    expect(updates.filter(({ helpText }) => /when absent|Required when/.test(helpText))).toEqual([]);
    expect(texts.filter(({ helpText }) => /Required when/.test(helpText))).toEqual([]);
  });

  test('only fields that a record may be without can be cleared', () => {
    const clearable = (key: string) => Object.keys(inputs.find((field) => field.of === key && field.key === 'clear')!.choices);
    expect(clearable('update_contact')).toEqual([
      'firstName',
      'lastName',
      'email',
      'position',
      'currentCompany',
      'industrySector',
      'city',
      'country',
      'tags',
    ]);
    expect(clearable('update_deal')).toEqual([
      'description',
      'value',
      'probability',
      'expectedCloseDate',
      'actualCloseDate',
      'source',
      'contactId',
      'assignedToId',
    ]);
  });

  test('the fields that a new record needs are required', () => {
    const required = (key: string) => inputs.filter((field) => field.of === key && field.required).map(({ key }) => key);
    expect(required('create_contact')).toEqual(['name', 'phoneNumber']);
    expect(required('create_deal')).toEqual(['title']);
    expect(required('update_contact')).toEqual(['id']);
    expect(required('update_deal')).toEqual(['id']);
    expect(required('set_deal_status')).toEqual(['id', 'status']);
  });
});

describe('triggers', () => {
  test('D006: a hook has a list to show', () => {
    expect(hooks.filter(({ operation }) => !operation.performList)).toEqual([]);
  });

  test('D016, D017: no hook is static', () => {
    expect(hooks.filter(({ operation }) => !operation.performSubscribe || !operation.performUnsubscribe)).toEqual([]);
  });

  test('D021: the description says when', () => {
    expect(triggers.map(({ display }) => display.description).filter((text) => !/^Triggers when .+\.$/.test(text))).toEqual([]);
  });

  test('what only dropdowns use is hidden', () => {
    const used = new Set(inputs.filter(({ dynamic }) => dynamic).map(({ dynamic }) => dynamic.split('.')[0]));
    expect(triggers.filter(({ display }) => display.hidden).map(({ key }) => key).sort()).toEqual([...used].sort());
  });

  test('an event that a record can have more than once has its time in the key', () => {
    for (const { key, operation } of hooks) {
      const primary = operation.outputFields.filter((field: Item) => field.primary).map((field: Item) => field.key);
      expect(primary, key).toEqual(key.startsWith('new_') ? ['id'] : ['id', 'updatedAt']);
    }
  });
});

describe('actions and searches', () => {
  test('D009: a search has a field', () => {
    expect(searches.filter((one) => fieldsOf(one).length === 0)).toEqual([]);
  });

  test('D022: an action has fields of its own', () => {
    expect(creates.filter((one) => !fieldsOf(one).some(({ key }) => key))).toEqual([]);
  });

  test('the description says what is done', () => {
    for (const { key, display } of [...creates, ...searches]) {
      expect(display.description, key).toMatch(/^(Creates|Updates|Marks|Finds) .+\.$/);
    }
  });
});

describe.each(all.map((one) => [one.key, one]))('the sample of %s', (_key, { operation }) => {
  const { sample, outputFields } = operation as Item;

  test('D010, D012: is there, with its primary key', () => {
    const primary: Item[] = outputFields.filter((field: Item) => field.primary);
    expect(primary.length).toBeGreaterThan(0);
    for (const { key } of primary) expect(sample[key]).toEqual(expect.any(String));
  });

  test('D024: has the output fields', () => {
    expect(differences(sample, outputFields)).toEqual([]);
  });

  test('D023: has dates by ISO 8601, with a zone', () => {
    for (const [key, value] of Object.entries(flattened(sample))) {
      if (/(At|Date)$/.test(key) && value !== null) expect(value, key).toMatch(/^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/);
    }
  });
});

test('D007: no request goes to a fixed address without TLS', () => {
  expect(JSON.stringify(app)).not.toMatch(/http:\/\/\w/);
});
