import { randomInt } from 'node:crypto';

import { describe, expect, expectTypeOf, test } from 'vitest';

import { ApiError, createClient, unwrap } from '../src/index.js';
import type { Client, components, ErrorBody } from '../src/index.js';
import { server } from './server.js';

type Contact = components['schemas']['Contact'];

const client = createClient(server);
const phoneNumber = () => `+33${randomInt(1e8, 1e9)}`;

const create = async (name: string) =>
  (await unwrap(client.POST('/contacts', { body: { name, phoneNumber: phoneNumber() } }))).data;

/** The error that a request is answered with. */
async function refusal(request: Promise<unknown>): Promise<ApiError> {
  const error: unknown = await request.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
}

describe('a key', () => {
  test('is tested', async () => {
    const answer = await unwrap(client.GET('/test'));
    expectTypeOf(answer.data.permissions).toEqualTypeOf<string[]>();
    expect(answer.data.permissions).toContain('contacts:write');
    expect(answer.data.companyId).toMatch(/^company_/);
  });

  test('that is unknown is a typed error', async () => {
    const stranger = createClient({ ...server, key: `ck_${'0'.repeat(64)}` });
    const error = await refusal(unwrap(stranger.GET('/test')));
    expect([error.status, error.code]).toEqual([401, 'INVALID_API_KEY']);
    expect(error.requestId).toBeTruthy();
  });

  test('without a permission is told which', async () => {
    const reader = createClient({ ...server, key: server.readKey });
    const error = await refusal(unwrap(reader.POST('/contacts', { body: { name: 'A', phoneNumber: phoneNumber() } })));
    expect([error.status, error.code]).toEqual([403, 'PERMISSION_DENIED']);
    expect(error.body?.requiredPermission).toBe('contacts:write');
    expect(error.body?.availablePermissions).toEqual(['contacts:read']);
  });
});

describe('contacts', () => {
  test('are created, read, changed and deleted', async () => {
    const contact = await create('Ada Lovelace');
    expectTypeOf(contact).toEqualTypeOf<Contact>();
    expect(contact.firstName).toBe('Ada');

    const path = { id: contact.id };
    const { data: changed } = await unwrap(client.PATCH('/contacts/{id}', { params: { path }, body: { city: 'London' } }));
    expect(changed.city).toBe('London');
    const { data: found } = await unwrap(client.GET('/contacts/{id}', { params: { path } }));
    expect(found).toEqual(changed);

    await unwrap(client.DELETE('/contacts/{id}', { params: { path } }));
    const error = await refusal(unwrap(client.GET('/contacts/{id}', { params: { path } })));
    expect([error.status, error.code]).toEqual([404, 'NOT_FOUND']);
  });

  test('are listed page by page', async () => {
    const name = `Page ${randomInt(1e9)}`;
    const created = [];
    for (let index = 0; index < 5; index++) created.push((await create(name)).id);

    const ids: string[] = [];
    let cursor: string | null | undefined;
    do {
      const query = { search: name, limit: 2, sort: 'createdAt', ...(cursor && { cursor }) };
      const page = await unwrap(client.GET('/contacts', { params: { query } }));
      expect(page.data.length).toBeLessThanOrEqual(2);
      ids.push(...page.data.map(({ id }) => id));
      cursor = page.meta.nextCursor;
    } while (cursor);
    expect(ids).toEqual(created);
  });

  test('are created or changed by upsert', async () => {
    const number = phoneNumber();
    const upsert = (city: string) =>
      unwrap(client.POST('/contacts/upsert', { body: { name: 'Up Sert', phoneNumber: number, city, matchBy: ['phoneNumber'] } }));
    const first = await upsert('Paris');
    const second = await upsert('Lyon');
    expect([first.created, second.created]).toEqual([true, false]);
    expect([second.data.id, second.data.city]).toEqual([first.data.id, 'Lyon']);
  });

  test('of a batch succeed or fail by themselves', async () => {
    const records = [{ name: 'Good', phoneNumber: phoneNumber() }, { name: 'Bad', phoneNumber: 'none' }];
    const answer = await unwrap(client.POST('/contacts/batch', { body: { records } }));
    expect(answer.meta).toMatchObject({ succeeded: 1, failed: 1 });
    expect(answer.data.map((entry) => entry.status)).toEqual([201, 422]);
    expect(answer.data[0]?.data?.name).toBe('Good');
    expect(answer.data[1]?.error?.code).toBe('VALIDATION_ERROR');
  });

  test('are not changed if somebody else changed them meanwhile', async () => {
    const path = { id: (await create('Con Current')).id };
    const { response } = await client.GET('/contacts/{id}', { params: { path } });
    const etag = response.headers.get('etag') ?? '';
    const change = (city: string) =>
      unwrap(client.PUT('/contacts/{id}', { params: { path, header: { 'If-Match': etag } }, body: { city } }));

    await change('Rome');
    const error = await refusal(change('Oslo'));
    expect([error.status, error.code]).toEqual([412, 'PRECONDITION_FAILED']);
    expect(error.body?.details['etag']).toMatch(/^"/);
    const { data } = await unwrap(client.GET('/contacts/{id}', { params: { path } }));
    expect(data.city).toBe('Rome');
  });

  test('with wrong fields are refused, each field with its reason', async () => {
    const { error, response } = await client.POST('/contacts', { body: { name: '', phoneNumber: 'none' } });
    expectTypeOf(error).toEqualTypeOf<ErrorBody | undefined>();
    expect([response.status, error?.code]).toEqual([422, 'VALIDATION_ERROR']);
    expect(error?.details['fields']).toBeTruthy();
  });
});

test('an error that is not one of isao has its status', async () => {
  const fetch = async () => new Response('<h1>Bad gateway</h1>', { status: 502 });
  const error = await refusal(unwrap(createClient({ ...server, fetch }).GET('/test')));
  expect([error.status, error.code, error.body]).toEqual([502, undefined, undefined]);
});

test('paths, bodies and answers are checked when they are compiled', () => {
  const calls = (typed: Client) => [
    // @ts-expect-error There is no such path.
    typed.GET('/companies'),
    // @ts-expect-error A name is text.
    typed.POST('/contacts', { body: { name: 1 } }),
    // @ts-expect-error There is no such parameter.
    typed.GET('/contacts', { params: { query: { offset: 1 } } }),
  ];
  expect(calls).toBeTypeOf('function');
});
