import { describe, expect, test } from 'vitest';
import App from '../../src/index.js';
import { eventOf } from '../../src/triggers/events.js';
import { differences } from '../shape.js';
import { api, asZapier, authData, contact, deal, failure, receiver, run, type Item } from './isao.js';

/** For a delivery that must not come: longer than deliveries take. */
const QUIET_MS = 500;
const quiet = () => new Promise((resolve) => setTimeout(resolve, QUIET_MS));

/** How each event comes about; the record as it is afterwards. */
const causes: Record<string, () => Promise<Item>> = {
  new_contact: () => contact(),
  updated_contact: async () => api('PUT', `/contacts/${(await contact()).id}`, { city: 'Lyon' }),
  new_deal: () => deal(),
  updated_deal: async () => api('PUT', `/deals/${(await deal()).id}`, { value: 3 }),
  deal_stage_changed: async () => ({
    ...(await api('PUT', `/deals/${(await deal()).id}/status`, { stage: 'negotiation' })),
    previousStage: 'proposal',
  }),
  deal_won: async () => api('PUT', `/deals/${(await deal()).id}/status`, { status: 'won' }),
  deal_lost: async () => api('PUT', `/deals/${(await deal()).id}/status`, { status: 'lost' }),
};

const operationOf = (key: string): Item => (App.triggers as Item)[key].operation;
const active = async () => (await api('GET', '/webhooks')).map((one: Item) => one.subscription_id);

test('there is a test of each trigger that users see', () => {
  const visible = Object.values(App.triggers as Item).filter(({ display }) => !display.hidden);
  expect(Object.keys(causes).sort()).toEqual(visible.map(({ key }) => key).sort());
});

describe.each(Object.entries(causes))('%s', (key, cause) => {
  const { performSubscribe, performUnsubscribe, perform, performList, outputFields, sample } = operationOf(key);

  test('is subscribed, delivers, and is unsubscribed', async () => {
    const hook = await receiver();
    const subscribeData = await run(performSubscribe, { targetUrl: hook.targetUrl });
    expect(subscribeData.event).toBe(eventOf[key]);
    expect(await active()).toContain(subscribeData.subscription_id);

    const record = await cause();
    const delivery = await hook.about(record.id!);
    const items = await run(perform, { subscribeData, ...asZapier(delivery) });
    expect(items).toEqual([record]);
    expect(differences(items[0], outputFields)).toEqual([]);

    // A poll gives the very item that the hook gave, so the keys and types are the same.
    const polled = await run(performList, { meta: { limit: -1 } });
    expect(polled[0]).toEqual(items[0]);
    expect(Object.keys(polled[0])).toEqual(Object.keys(sample));

    await run(performUnsubscribe, { subscribeData });
    expect(await active()).not.toContain(subscribeData.subscription_id);
    await cause();
    await quiet();
    expect(hook.received).toHaveLength(1);
  });

  test('lists as many recent items as Zapier asks for', async () => {
    await cause();
    await cause();
    expect(await run(performList, { meta: { limit: 1 } })).toHaveLength(1);
    const items: Item[] = await run(performList, { meta: { limit: 3 } });
    expect(items.length).toBeGreaterThanOrEqual(2);
    expect(items.length).toBeLessThanOrEqual(3);
    for (const item of items) expect(differences(item, outputFields)).toEqual([]);
  });

  test('has the fields and types of the sample that the server gives', async () => {
    const response = await fetch(`${authData.base_url}/api/external/triggers/${eventOf[key]}/sample`, {
      headers: { authorization: `Bearer ${authData.api_key}` },
    });
    expect(await response.json()).toEqual(sample);
  });
});

describe('a delivery', () => {
  const { performSubscribe, performUnsubscribe, perform } = operationOf('new_contact');

  async function delivered() {
    const hook = await receiver();
    const subscribeData = await run(performSubscribe, { targetUrl: hook.targetUrl });
    const bundle = asZapier(await hook.about((await contact()).id!));
    await run(performUnsubscribe, { subscribeData });
    return { bundle, subscribeData };
  }

  test('that was changed on the way is refused', async () => {
    const { bundle, subscribeData } = await delivered();
    bundle.rawRequest.content = bundle.rawRequest.content.replace('Jane', 'Eve');
    const { message } = await failure(run(perform, { subscribeData, ...bundle }));
    expect(message).toContain('signature');
  });

  test('with the signature of another subscription is refused', async () => {
    const { bundle } = await delivered();
    const { subscribeData } = await delivered();
    expect((await failure(run(perform, { subscribeData, ...bundle }))).message).toContain('signature');
  });

  test('is accepted while its secret is rotated', async () => {
    const hook = await receiver();
    const subscribeData = await run(performSubscribe, { targetUrl: hook.targetUrl });
    await api('POST', `/webhooks/${subscribeData.subscription_id}/rotate-secret`, {});
    const record = await contact();
    const bundle = asZapier(await hook.about(record.id!));
    expect(bundle.rawRequest.headers['Http-Webhook-Signature']!.split(' ')).toHaveLength(2);
    expect(await run(perform, { subscribeData, ...bundle })).toEqual([record]);
    await run(performUnsubscribe, { subscribeData });
  });

  test('of a subscription whose secret is not known is taken as it is', async () => {
    const { bundle } = await delivered();
    const items = await run(perform, { subscribeData: {}, ...bundle });
    expect(items).toEqual([bundle.cleanedRequest.data]);
  });
});

describe('a subscription', () => {
  test('that is gone can be unsubscribed once more', async () => {
    const { performSubscribe, performUnsubscribe } = operationOf('deal_won');
    const { targetUrl } = await receiver();
    const subscribeData = await run(performSubscribe, { targetUrl });
    await run(performUnsubscribe, { subscribeData });
    await run(performUnsubscribe, { subscribeData });
  });

  test('cannot be ended with a wrong key', async () => {
    const { performSubscribe, performUnsubscribe } = operationOf('deal_won');
    const { targetUrl } = await receiver();
    const subscribeData = await run(performSubscribe, { targetUrl });
    const wrong = { ...authData, api_key: `ck_${'0'.repeat(64)}` };
    const { name } = await failure(run(performUnsubscribe, { authData: wrong, subscribeData }));
    expect(name).toBe('ExpiredAuthError');
    await run(performUnsubscribe, { subscribeData });
  });

  test('to stage changes can be for one stage only', async () => {
    const { performSubscribe, performUnsubscribe, perform, performList } = operationOf('deal_stage_changed');
    const hook = await receiver();
    const inputData = { stage: 'closing' };
    const subscribeData = await run(performSubscribe, { targetUrl: hook.targetUrl, inputData });
    const [other, wanted] = [await deal(), await deal()];
    await api('PUT', `/deals/${other.id}/status`, { stage: 'negotiation' });
    await api('PUT', `/deals/${wanted.id}/status`, { stage: 'closing' });
    const bundle = { subscribeData, inputData, ...asZapier(await hook.about(wanted.id!)) };
    expect((await run(perform, bundle))[0].stage).toBe('closing');
    expect(hook.received).toHaveLength(1);
    const polled: Item[] = await run(performList, { inputData, meta: { limit: -1 } });
    expect(polled.length).toBeGreaterThan(0);
    expect(new Set(polled.map(({ stage }) => stage))).toEqual(new Set(['closing']));
    await run(performUnsubscribe, { subscribeData });
  });

  test('can leave out what its own connection changes', async () => {
    const { performSubscribe, performUnsubscribe } = operationOf('new_contact');
    const hook = await receiver();
    const inputData = { ignoreOwn: true };
    const subscribeData = await run(performSubscribe, { targetUrl: hook.targetUrl, inputData });
    expect(subscribeData.ignore_own).toBe(true);
    await contact();
    await quiet();
    expect(hook.received).toHaveLength(0);
    await run(performUnsubscribe, { subscribeData });
  });

  test('to a URL that the server refuses says why', async () => {
    const { performSubscribe } = operationOf('new_contact');
    const { message, status } = await failure(run(performSubscribe, { targetUrl: 'ftp://example.com' }));
    expect(status).toBe(422);
    expect(message).toContain('target_url');
  });
});
