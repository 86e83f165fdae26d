import { describe, expect, inject, test } from 'vitest';
import App from '../../src/index.js';
import { differences } from '../shape.js';
import { api, authData, contact, deal, failure, memberId, phone, run, type Item } from './isao.js';

const operationOf = (key: string): Item => (App.creates as Item)[key].operation;

/** Runs an action; its record must be what the server has, and as the output fields promise. */
async function act(key: string, inputData: Item): Promise<Item> {
  const { perform, outputFields } = operationOf(key);
  const record = await run(perform, { inputData });
  const route = key.endsWith('contact') ? '/contacts' : '/deals';
  expect(record).toEqual(await api('GET', `${route}/${record.id}`));
  expect(differences(record, outputFields)).toEqual([]);
  return record;
}

const refusal = (key: string, inputData: Item) => failure(run(operationOf(key).perform, { inputData }));

test('every action is tested here', () => {
  expect(Object.keys(App.creates as Item).sort()).toEqual([
    'create_contact',
    'create_deal',
    'set_deal_status',
    'update_contact',
    'update_deal',
  ]);
});

describe('create_contact', () => {
  test('creates a contact with every field', async () => {
    const inputData = {
      name: 'Ada Lovelace',
      firstName: 'Ada',
      lastName: 'Lovelace',
      phoneNumber: phone(),
      email: 'ada@example.com',
      position: 'Analyst',
      currentCompany: 'Engines',
      industrySector: 'Technology',
      city: 'London',
      country: 'England',
      tags: ['vip', 'enterprise'],
    };
    const fields = operationOf('create_contact').inputFields.map(({ key }: Item) => key);
    expect(Object.keys(inputData).sort()).toEqual([...fields].sort());
    expect(await act('create_contact', inputData)).toMatchObject(inputData);
  });

  test('leaves out what was not filled in', async () => {
    const record = await act('create_contact', { name: 'Ada Lovelace', phoneNumber: phone(), city: '', tags: [] });
    expect(record).toMatchObject({ firstName: 'Ada', lastName: 'Lovelace', city: null, tags: [] });
  });

  test('says which permission the key lacks', async (context) => {
    const api_key = inject('readKey');
    context.skip(!api_key, 'the tests cannot make a key for this server');
    const inputData = { name: 'Ada', phoneNumber: phone() };
    const bundle = { authData: { ...authData, api_key }, inputData };
    const { message, status } = await failure(run(operationOf('create_contact').perform, bundle));
    expect(status).toBe(403);
    expect(message).toContain('contacts:write');
  });

  test('says everything that is wrong', async () => {
    const { message, status } = await refusal('create_contact', { name: 'Ada', phoneNumber: 'x', email: 'x' });
    expect(status).toBe(422);
    expect(message).toMatch(/phoneNumber: ./);
    expect(message).toMatch(/email: ./);
  });

  test('stops the run, and says which contact exists', async () => {
    const { id, phoneNumber } = await contact();
    const { name, message } = await refusal('create_contact', { name: 'Ada', phoneNumber });
    expect(name).toBe('HaltedError');
    expect(message).toContain(id);
  });
});

describe('update_contact', () => {
  test('changes what is filled in, clears what is to be cleared, and keeps the rest', async () => {
    const before = await contact();
    const inputData = { id: before.id, position: 'CEO', city: '', clear: ['email', 'tags', 'position'] };
    const record = await act('update_contact', inputData);
    const { updatedAt } = record;
    // A new value has priority over clearing.
    expect(record).toEqual({ ...before, position: 'CEO', email: null, tags: [], updatedAt });
    expect(updatedAt).not.toBe(before.updatedAt);
  });

  test('of a contact that does not exist fails', async () => {
    const { message, status } = await refusal('update_contact', { id: 'contact_none', city: 'Paris' });
    expect(status).toBe(404);
    expect(message).toContain('ontact');
  });

  test('cannot reach another route through the id', async () => {
    const { id } = await deal();
    const { status } = await refusal('update_contact', { id: `../deals/${id}`, title: 'x', city: 'x' });
    expect(status).toBe(404);
  });
});

describe('create_deal', () => {
  test('creates a deal with every field', async () => {
    const { id: contactId } = await contact();
    const inputData = {
      title: 'Engine',
      description: 'Of the analytical kind',
      value: 1234.56,
      currency: 'GBP',
      stage: 'proposal',
      priority: 'low',
      probability: 20,
      status: 'open',
      expectedCloseDate: '2031-01-01T10:00:00+02:00',
      source: 'fair',
    };
    const record = await act('create_deal', { ...inputData, contactId, assignedToId: memberId });
    expect(record).toMatchObject({ ...inputData, expectedCloseDate: '2031-01-01T08:00:00.000Z' });
    expect(record.contact.id).toBe(contactId);
    expect(record.assignedTo?.id ?? '').toBe(memberId);
  });

  test('needs no more than a title', async () => {
    expect(await act('create_deal', { title: 'Engine' })).toMatchObject({ status: 'open', contact: null });
  });

  test('says that there is no such contact', async () => {
    const { message, status } = await refusal('create_deal', { title: 'Engine', contactId: 'contact_none' });
    expect(status).toBe(422);
    expect(message).toContain('contactId');
  });
});

describe('update_deal', () => {
  test('changes what is filled in and clears what is to be cleared', async () => {
    const before = await deal();
    const record = await act('update_deal', { id: before.id, value: 7, stage: 'closing', clear: ['source', 'contactId'] });
    const { updatedAt } = record;
    expect(record).toEqual({ ...before, value: 7, stage: 'closing', source: null, contact: null, updatedAt });
  });
});

describe('set_deal_status', () => {
  test('marks a deal as won, with its stage and date', async () => {
    const { id } = await deal();
    const inputData = { id, status: 'won', stage: 'closed', probability: 100, actualCloseDate: '2026-01-02T03:04:05Z' };
    expect(await act('set_deal_status', inputData)).toMatchObject({
      status: 'won',
      stage: 'closed',
      probability: 100,
      actualCloseDate: '2026-01-02T03:04:05.000Z',
    });
  });

  test('marks a deal as lost and opens it again', async () => {
    const { id } = await deal();
    expect((await act('set_deal_status', { id, status: 'lost' })).actualCloseDate).toEqual(expect.any(String));
    expect(await act('set_deal_status', { id, status: 'open' })).toMatchObject({ status: 'open', actualCloseDate: null });
  });
});
