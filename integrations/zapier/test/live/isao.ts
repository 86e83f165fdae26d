// What the live tests share: the server under test, the app on it, and a receiver in Zapier's place.
import { randomInt } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createAppTester } from 'zapier-platform-core';
import { inject, onTestFinished } from 'vitest';
import App from '../../src/index.js';

/** For whatever has to happen in the end: generous, because machines are busy. */
const PATIENCE_MS = 30_000;

export type Item = Record<string, any>;

export const url = inject('url');
export const memberId = inject('memberId');
export const authData = { base_url: url, api_key: inject('key') };

const tester = createAppTester(App);

/** Runs a function of the app as Zapier does, with its middleware and its checks of the result. */
export const run = (perform: unknown, bundle: Item = {}): Promise<any> =>
  tester(perform as any, { authData, ...bundle } as any);

/** A request beside the app, which must succeed; its data. */
export async function api(method: string, route: string, body?: unknown): Promise<any> {
  const response = await fetch(`${url}/api/external${route}`, {
    method,
    headers: { authorization: `Bearer ${authData.api_key}`, 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = (await response.json()) as Item;
  if (!response.ok) throw new Error(`${method} ${route}: ${response.status} ${JSON.stringify(answer)}`);
  return answer.data;
}

/** A phone number that no other test has. */
export const phone = () => `+33${randomInt(1e9, 9e9)}`;

/** Text that no other test has. */
export const unique = (text: string) => `${text} ${randomInt(1e9, 9e9)}`;

/** A contact with a value in every field. */
export const contact = (changes: Item = {}): Promise<Item> =>
  api('POST', '/contacts', {
    name: 'Jane Smith',
    phoneNumber: phone(),
    email: `jane${randomInt(1e9, 9e9)}@example.com`,
    position: 'CTO',
    currentCompany: 'Tech Corp',
    industrySector: 'Technology',
    city: 'Paris',
    country: 'France',
    tags: ['lead'],
    ...changes,
  });

/** A deal with a value in every field; the member only if the tests could make one. */
export const deal = async (changes: Item = {}): Promise<Item> =>
  api('POST', '/deals', {
    title: 'Enterprise License',
    description: 'Fifty seats',
    value: 25000.5,
    currency: 'EUR',
    stage: 'proposal',
    priority: 'high',
    probability: 50,
    expectedCloseDate: '2030-12-31T00:00:00.000Z',
    source: 'website',
    contactId: (await contact()).id,
    ...(memberId && { assignedToId: memberId }),
    ...changes,
  });

export interface Delivery {
  headers: IncomingHttpHeaders;
  body: string;
}

/** What Zapier makes of a delivery before it runs `perform`. */
export const asZapier = ({ headers, body }: Delivery) => ({
  rawRequest: {
    method: 'POST',
    querystring: '',
    // Zapier writes `webhook-id` as `Http-Webhook-Id`.
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [
        `Http-${name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase())}`,
        String(value),
      ]),
    ),
    content: body,
  },
  cleanedRequest: JSON.parse(body),
});

/** A receiver on loopback that records what arrives; it ends with the test. */
export async function receiver() {
  const received: Delivery[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    received.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
    response.end('ok');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    targetUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    received,
    /** Waits for the delivery about a record. */
    async about(id: string): Promise<Delivery> {
      const deadline = Date.now() + PATIENCE_MS;
      for (;;) {
        const found = received.find(({ body }) => JSON.parse(body).data.id === id);
        if (found) return found;
        if (Date.now() > deadline) throw new Error(`no delivery about ${id} within ${PATIENCE_MS} ms`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
  };
}

/** The error of a promise that must fail: what the user of the Zap reads. */
export async function failure(promise: Promise<unknown>): Promise<{ name: string; message: string; status?: number }> {
  try {
    await promise;
  } catch (error) {
    const { name, message } = error as Error;
    try {
      const parsed = JSON.parse(message);
      return { name, message: parsed.message, status: parsed.status };
    } catch {
      return { name, message };
    }
  }
  throw new Error('this should have failed');
}
