import { describe, expect, test } from 'vitest';
import App from '../../src/index.js';
import { differences } from '../shape.js';
import { contact, deal, failure, run, unique, type Item } from './isao.js';

const operationOf = (key: string): Item => (App.searches as Item)[key].operation;

async function find(key: string, inputData: Item): Promise<Item[]> {
  const { perform, outputFields } = operationOf(key);
  const found: Item[] = await run(perform, { inputData });
  for (const item of found) expect(differences(item, outputFields)).toEqual([]);
  return found;
}

test('every search is tested here', () => {
  expect(Object.keys(App.searches as Item).sort()).toEqual(['find_contact', 'find_deal']);
});

describe('find_contact', () => {
  test('finds by phone number, however it is punctuated', async () => {
    const one = await contact();
    const phoneNumber = one.phoneNumber.replace(/^\+33(\d)(\d\d)/, '0033 (0)$1-$2 ');
    expect(await find('find_contact', { phoneNumber })).toEqual([one]);
  });

  test('finds by email, in upper or lower case', async () => {
    const one = await contact();
    expect(await find('find_contact', { email: one.email.toUpperCase() })).toEqual([one]);
  });

  test('finds by a part of the name, the exact name first', async () => {
    const name = unique('Ada');
    const exact = await contact({ name });
    const longer = await contact({ name: `${name} Lovelace` });
    const elsewhere = await contact({ email: `${name.replace(' ', '.')}@example.com` });
    expect(await find('find_contact', { name: name.toLowerCase() })).toEqual([exact, longer]);
    expect(await find('find_contact', { name: name.replace(' ', '.') })).toEqual([]);
    expect(elsewhere.id).toEqual(expect.any(String));
  });

  test('finds what fits every field', async () => {
    const name = unique('Ada');
    const [one, other] = [await contact({ name }), await contact({ name })];
    expect(await find('find_contact', { name, email: other.email })).toEqual([other]);
    expect(await find('find_contact', { email: one.email, phoneNumber: other.phoneNumber })).toEqual([]);
  });

  test('finds nothing', async () => {
    expect(await find('find_contact', { email: 'nobody@example.com' })).toEqual([]);
  });

  test('has to be told what to find', async () => {
    const { message } = await failure(run(operationOf('find_contact').perform, { inputData: { name: '' } }));
    expect(message).toBe('Fill in at least one of these fields: Phone Number, Email, Name.');
  });
});

describe('find_deal', () => {
  test('finds by a part of the title, the exact title first', async () => {
    const title = unique('Engine');
    const exact = await deal({ title });
    const longer = await deal({ title: `${title} II` });
    await deal({ description: title });
    expect(await find('find_deal', { title })).toEqual([exact, longer]);
  });

  test('finds by contact, status and stage', async () => {
    const stage = unique('stage');
    const one = await deal({ stage });
    await deal({ stage, status: 'won' });
    expect(await find('find_deal', { stage, status: 'open' })).toEqual([one]);
    expect(await find('find_deal', { contactId: one.contact.id })).toEqual([one]);
  });

  test('finds nothing', async () => {
    expect(await find('find_deal', { title: unique('Engine') })).toEqual([]);
  });
});
