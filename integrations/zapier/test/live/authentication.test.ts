import { describe, expect, test } from 'vitest';
import { authentication } from '../../src/authentication.js';
import { api, authData, failure, run, url } from './isao.js';

describe('the connection', () => {
  test('is tested with the key, and named after the company', async () => {
    const answer = await run(authentication.test);
    expect(answer.success).toBe(true);
    // Zapier fills the label with flat fields of this answer.
    const field = /^\{\{(\w+)\}\}$/.exec(authentication.connectionLabel as string)![1]!;
    expect(answer[field]).toEqual(expect.any(String));
    expect(answer[field]).not.toBe('');
  });

  test.each([`${url}/`, ` ${url} `, `${url}/api/external`, `${url}/api/external/`])(
    'accepts %j as Base URL',
    async (base_url) => {
      expect((await run(authentication.test, { authData: { ...authData, base_url } })).success).toBe(true);
    },
  );

  test.each(['', 'isao.example.com', 'ftp://isao.example.com', 'https://user:word@isao.example.com', 'https://isao.example.com/?a=b'])(
    'refuses %j as Base URL and says why',
    async (base_url) => {
      const { message } = await failure(run(authentication.test, { authData: { ...authData, base_url } }));
      expect(message).toContain('Base URL');
    },
  );

  test.each([`ck_${'0'.repeat(64)}`, 'nonsense'])('with the key %j has expired', async (api_key) => {
    const { name, message } = await failure(run(authentication.test, { authData: { ...authData, api_key } }));
    expect(name).toBe('ExpiredAuthError');
    expect(message).toMatch(/API key/);
  });

  test('works with the key as it was pasted, spaces included', async () => {
    const api_key = ` ${authData.api_key}\n`;
    expect((await run(authentication.test, { authData: { ...authData, api_key } })).success).toBe(true);
  });

  test('is the one that the other tests use', async () => {
    expect(await api('GET', '/webhooks')).toEqual(expect.any(Array));
  });
});
