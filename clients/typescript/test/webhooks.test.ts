import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from 'vitest';

import { createClient, unwrap, verify, WebhookVerificationError } from '../src/index.js';
import type { components, EventOf, EventType, WebhookEvent } from '../src/index.js';
import { type Delivery, startReceiver } from './receiver.js';
import { server } from './server.js';

type Schemas = components['schemas'];

const client = createClient(server);

describe('a delivery', () => {
  let receiver: Awaited<ReturnType<typeof startReceiver>>;
  let secret: string;
  let dealId: string;
  let delivery: Delivery;

  beforeAll(async () => {
    receiver = await startReceiver();
    const { data: subscription } = await unwrap(
      client.POST('/webhooks/subscribe', {
        body: { events: ['deal.won'], target_url: receiver.url, filters: { currency: ['CHF'] }, headers: { 'X-Token': 'a' } },
      }),
    );
    secret = subscription.secret;
    const { data: deal } = await unwrap(
      client.POST('/deals', { body: { title: 'Enterprise License', value: 25000.5, currency: 'CHF' } }),
    );
    dealId = deal.id;
    await unwrap(client.PUT('/deals/{id}/status', { params: { path: { id: deal.id } }, body: { status: 'won' } }));
    delivery = await receiver.next();
  });
  afterAll(async () => {
    await receiver.stop();
  });

  test('is verified, and its type decides what its data is', () => {
    const event = verify(delivery.body, delivery.headers, secret);
    if (event.event !== 'deal.won') throw new Error(`deal.won was expected, not ${event.event}`);
    expectTypeOf(event).toEqualTypeOf<EventOf<'deal.won'>>();
    expectTypeOf(event.data).toEqualTypeOf<Schemas['Deal']>();
    expect([event.data.id, event.data.value, event.data.status]).toEqual([dealId, 25000.5, 'won']);
    expect(event.metadata.eventId).toBe(delivery.headers['webhook-id']);
    expect(delivery.headers['x-token']).toBe('a');
  });

  test('is verified whether its body is text or bytes, and its headers are those of fetch or of Node.js', () => {
    const headers = new Headers();
    for (const [name, value] of Object.entries(delivery.headers)) headers.set(name, String(value));
    const expected = verify(delivery.body, delivery.headers, secret);
    expect(verify(delivery.body.toString(), headers, secret)).toEqual(expected);
    expect(verify(new Uint8Array(delivery.body), headers, secret)).toEqual(expected);
  });

  test.each<[string, (delivery: Delivery) => Delivery]>([
    ['another body', ({ headers, body }) => ({ headers, body: Buffer.from(body.toString().replace('25000.5', '1')) })],
    ['a signature of something else', ({ headers, body }) => ({ headers: { ...headers, 'webhook-signature': `v1,${Buffer.alloc(32).toString('base64')}` }, body })],
    ['a malformed signature', ({ headers, body }) => ({ headers: { ...headers, 'webhook-signature': 'v1' }, body })],
    ['no signature', ({ headers: { 'webhook-signature': _, ...headers }, body }) => ({ headers, body })],
    ['another id', ({ headers, body }) => ({ headers: { ...headers, 'webhook-id': 'event_0' }, body })],
    ['a timestamp that is no number', ({ headers, body }) => ({ headers: { ...headers, 'webhook-timestamp': 'now' }, body })],
  ])('with %s is refused', (_, change) => {
    const { headers, body } = change(delivery);
    expect(() => verify(body, headers, secret)).toThrow(WebhookVerificationError);
  });

  test('that was signed with another secret is refused', () => {
    const other = `whsec_${Buffer.alloc(24).toString('base64')}`;
    expect(() => verify(delivery.body, delivery.headers, other)).toThrow(WebhookVerificationError);
  });

  test.each([-301, 301])('with a right signature is refused %d seconds from now', (seconds) => {
    const at = new Date(Date.now() + seconds * 1000);
    expect(() => verify('{}', signed('{}', at, secret), secret)).toThrow(WebhookVerificationError);
  });

  test('with a right signature is taken within five minutes', () => {
    const at = new Date(Date.now() - 290_000);
    const body = delivery.body.toString();
    expect(verify(body, signed(body, at, secret), secret).event).toBe('deal.won');
  });

  test.each(['[]', '{', 'null', '{"event": 1}'])('of %s is no event', (body) => {
    expect(() => verify(body, signed(body, new Date(), secret), secret)).toThrow(WebhookVerificationError);
  });
});

/** The headers of a delivery that is signed at this time. */
function signed(body: string, at: Date, secret: string) {
  return {
    'webhook-id': 'event_1',
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': new Webhook(secret).sign('event_1', at, body),
  };
}

test('each type of event has its record', async () => {
  expectTypeOf<EventOf<'contact.created' | 'contact.updated' | 'contact.deleted'>['data']>().toEqualTypeOf<Schemas['Contact']>();
  expectTypeOf<EventOf<'deal.stage_changed'>['data']>().toEqualTypeOf<Schemas['StageChange']>();
  expectTypeOf<EventOf<'deal.stage_changed'>['data']['previousStage']>().toEqualTypeOf<string>();
  expectTypeOf<EventType>().toEqualTypeOf<Schemas['EventType']>();

  const name = (event: WebhookEvent): string => {
    switch (event.event) {
      case 'contact.created':
      case 'contact.updated':
      case 'contact.deleted':
        return event.data.name;
      case 'deal.stage_changed':
        return `${event.data.previousStage} → ${event.data.stage}`;
      default:
        return event.data.title;
    }
  };
  const { data: events } = await unwrap(client.GET('/events', { params: { query: { limit: 10 } } }));
  expect(events.length).toBeGreaterThan(0);
  for (const event of events) expect(name(event)).toBeTruthy();
});
