// What answers of a server, also bad ones, become in a Zap.
import { createServer, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createAppTester } from 'zapier-platform-core';
import App from '../../src/index.js';
import { apiUrl, serverUrl } from '../../src/server.js';

const run = createAppTester(App);
const createContact = App.creates.create_contact!.operation.perform as any;

interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
}

/** Runs an action against a server that gives one answer; the error, and the requests that came. */
async function refused({ status, headers = {}, body = '' }: Answer) {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const base_url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const bundle = { authData: { base_url, api_key: 'ck_1' }, inputData: { name: 'Ada', phoneNumber: '+331' } };
  const error: Error = await run(createContact, bundle as any).then(
    () => {
      throw new Error('this should have failed');
    },
    (reason) => reason,
  );
  const parsed = /^\{/.test(error.message) ? JSON.parse(error.message) : { message: error.message };
  return { name: error.name, ...parsed, requests };
}

describe('an answer', () => {
  test('401 means that the user has to connect again', async () => {
    const { name, message, requests } = await refused({
      status: 401,
      body: { success: false, error: 'Invalid API key', message: 'This API key is revoked.' },
    });
    expect(name).toBe('ExpiredAuthError');
    expect(message).toMatch(/^This API key is revoked\./);
    expect(requests[0].headers.authorization).toBe('Bearer ck_1');
  });

  test('403 tells which permission the key lacks', async () => {
    const message = 'This API key does not have the required permission: contacts:write';
    const error = await refused({ status: 403, body: { error: 'Permission denied', message, code: 'PERMISSION_DENIED' } });
    expect(error).toMatchObject({ name: 'AppError', message, code: 'PERMISSION_DENIED', status: 403 });
  });

  test('422 names every bad field', async () => {
    const fields = { name: 'must not be empty', phoneNumber: ['is too short', 'has letters'] };
    const { message } = await refused({ status: 422, body: { message: 'Some fields are invalid', details: { fields } } });
    expect(message).toBe('Some fields are invalid\nname: must not be empty\nphoneNumber: is too short has letters');
  });

  test('429 makes Zapier wait as long as the server says', async () => {
    const error = await refused({ status: 429, headers: { 'retry-after': '7' }, body: {} });
    expect(error).toMatchObject({ name: 'ThrottledError', delay: 7 });
  });

  test('503 of a busy server makes Zapier wait, too', async () => {
    const body = { message: 'The server is busy', code: 'OVERLOADED' };
    const error = await refused({ status: 503, headers: { 'retry-after': '3' }, body });
    expect(error).toMatchObject({ name: 'ThrottledError', message: 'The server is busy', delay: 3 });
  });

  test('503 of a server without its database is an error', async () => {
    const error = await refused({ status: 503, body: { message: 'No database', code: 'DATABASE_UNAVAILABLE' } });
    expect(error).toMatchObject({ name: 'AppError', code: 'DATABASE_UNAVAILABLE' });
  });

  test('500 has a request id to quote', async () => {
    const { message } = await refused({ status: 500, headers: { 'x-request-id': 'req_1' }, body: { message: 'Our fault' } });
    expect(message).toBe('Our fault\nRequest id: req_1');
  });

  test('of a proxy without JSON has at least a status', async () => {
    const { message } = await refused({ status: 502, headers: { 'content-type': 'text/html' }, body: '<h1>Bad</h1>' });
    expect(message).toBe('The server answered with status 502.');
  });

  test.each([301, 302, 307, 308])('%i is not followed', async (status) => {
    const { message, requests } = await refused({ status, headers: { location: 'https://other.example.com/' } });
    expect(message).toContain('redirects to https://other.example.com/');
    expect(requests).toHaveLength(1);
  });
});

describe('the address', () => {
  test.each([
    ['https://isao.example.com', 'https://isao.example.com'],
    ['https://isao.example.com///', 'https://isao.example.com'],
    ['HTTPS://ISAO.example.com/crm/', 'https://isao.example.com/crm'],
    ['http://10.0.0.1:8080/api/external', 'http://10.0.0.1:8080'],
    ['https://isao.example.com/crm/api/external/', 'https://isao.example.com/crm'],
  ])('%s is %s', (entered, url) => expect(serverUrl(entered)).toBe(url));

  test.each([undefined, '', 'isao', 'javascript:alert(1)', 'file:///etc/passwd', 'https://', 'https://a:b@c', 'https://a/?b', 'https://a/#b'])(
    '%s is refused',
    (entered) => expect(() => serverUrl(entered)).toThrow('Base URL'),
  );

  test('of a record keeps to its part of the path', () => {
    const bundle = { authData: { base_url: 'https://a' } } as any;
    expect(apiUrl(bundle, '/contacts', '../deals/x?y')).toBe('https://a/api/external/contacts/..%2Fdeals%2Fx%3Fy');
  });
});
