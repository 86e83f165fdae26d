import type { INodeProperties } from 'n8n-workflow';
import { describe, expect, test } from 'vitest';
import { events, inputs, queries, records } from '../../shared/catalogue';
import { clearable, filled, labelOf } from '../../shared/fields';
import { commonFields } from '../../shared/lists';
import { apiUrl } from '../../shared/server';
import { Isao } from '../../nodes/Isao/Isao.node';
import { IsaoTrigger } from '../../nodes/IsaoTrigger/IsaoTrigger.node';

const { properties } = new Isao().description;
const trigger = new IsaoTrigger().description;

/** The fields of the form of one operation, by name. */
function form(resource: string, operation: string): Record<string, INodeProperties> {
  const shown = properties.filter(({ displayOptions }) => {
    const { resource: resources, operation: operations } = displayOptions?.show ?? {};
    return resources?.includes(resource) && operations?.includes(operation);
  });
  return Object.fromEntries(shown.map((property) => [property.name, property]));
}
const namesIn = (collection?: INodeProperties) =>
  (collection?.options as INodeProperties[]).map(({ name }) => name).sort();
const keys = (fields: Array<{ key: string }>) => fields.map(({ key }) => key).sort();

describe('the forms of actions', () => {
  test('offer all fields of a contact', () => {
    const { name, phoneNumber, additionalFields } = form('contact', 'create');
    expect([name?.required, phoneNumber?.required]).toEqual([true, true]);
    expect(['name', 'phoneNumber', ...namesIn(additionalFields)].sort()).toEqual(keys(inputs.createContact));
    expect(namesIn(form('contact', 'update').updateFields)).toEqual(keys(inputs.createContact));
    expect(namesIn(form('contact', 'getAll').filters)).toEqual(keys(queries.listContacts));
  });

  test('offer all fields of a deal', () => {
    const { title, additionalFields } = form('deal', 'create');
    expect(title?.required).toBe(true);
    expect(['title', ...namesIn(additionalFields)].sort()).toEqual(keys(inputs.createDeal));
    expect(namesIn(form('deal', 'update').updateFields)).toEqual(keys(inputs.createDeal));
    expect(['status', ...namesIn(form('deal', 'setStatus').additionalFields)].sort()).toEqual(keys(inputs.updateDealStatus));
    expect(namesIn(form('deal', 'getAll').filters)).toEqual(keys(queries.listDeals));
  });

  test('say nothing of what is only so when a record is created, when it is updated', () => {
    const { options } = form('deal', 'update').updateFields!;
    for (const { description = '' } of options as INodeProperties[]) expect(description).not.toMatch(/when left|Required/);
  });

  test('have unique names', () => {
    for (const resource of ['contact', 'deal', 'webhook']) {
      const operations = properties.find(
        ({ name, displayOptions }) => name === 'operation' && displayOptions?.show?.resource?.includes(resource),
      );
      for (const { value } of operations!.options as Array<{ value: string }>) {
        const shown = properties.filter(({ displayOptions: { show } = {} }) =>
          show?.resource?.includes(resource) && show?.operation?.includes(value),
        );
        const names = shown.map(({ name }) => name);
        expect(new Set(names).size, `${resource} ${value}`).toBe(names.length);
      }
    }
  });

  test('call methods that exist', () => {
    const { listSearch } = new Isao().methods;
    const used = [...JSON.stringify(properties).matchAll(/"searchListMethod":"(\w+)"/g)].map(([, name]) => name!);
    expect([...new Set(used)].sort()).toEqual(Object.keys(listSearch).sort());
  });

  test('can empty what a record may be without', () => {
    expect(clearable(inputs.createDeal, records.Deal)).toContain('contactId');
    expect(clearable(inputs.createContact, records.Contact)).not.toContain('phoneNumber');
    expect(clearable(inputs.createContact, records.Contact)).toContain('tags');
  });
});

describe('the form of the trigger', () => {
  test('offers all events', () => {
    const options = trigger.properties.find(({ name }) => name === 'events')!.options as Array<{ value: string }>;
    expect(options.map(({ value }) => value)).toEqual(events.map(({ event }) => event));
  });

  test('offers the filters that all chosen events have', () => {
    expect(commonFields(['contact.created', 'deal.created'], 'filters')).toEqual(['id', 'createdAt', 'updatedAt']);
    expect(commonFields(['deal.stage_changed'], 'filters')).toContain('previousStage');
    expect(commonFields(['deal.won', 'deal.stage_changed'], 'filters')).not.toContain('previousStage');
    expect(commonFields(['deal.updated'], 'changed')).toContain('stage');
    expect(commonFields(['deal.updated', 'deal.won'], 'changed')).toEqual([]);
    expect(commonFields([], 'filters')).toEqual([]);
  });
});

test('values that were not filled in are left out', () => {
  const located = { __rl: true, mode: 'list', value: 'contact_1' };
  expect(filled({ a: '', b: 0, c: false, d: null, e: located, f: { ...located, value: '' } })).toEqual({
    b: 0,
    c: false,
    e: 'contact_1',
  });
});

test.each([
  ['https://isao.example.com', 'https://isao.example.com/api/external/test'],
  [' https://isao.example.com/ ', 'https://isao.example.com/api/external/test'],
  ['https://example.com/isao/api/external/', 'https://example.com/isao/api/external/test'],
])('the address %j is understood', (baseUrl, url) => {
  expect(apiUrl(baseUrl, '/test')).toBe(url);
});

test('labels are words', () => {
  expect(['phoneNumber', 'contactId', 'id', 'name'].map(labelOf)).toEqual(['Phone Number', 'Contact', 'ID', 'Name']);
});
