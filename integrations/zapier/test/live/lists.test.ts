// The hidden triggers: what dropdowns choose from.
import { expect, test, type TestContext } from 'vitest';
import App from '../../src/index.js';
import { differences } from '../shape.js';
import { authData, contact, deal, memberId, run, unique, type Item } from './isao.js';

const operationOf = (key: string): Item => (App.triggers as Item)[key].operation;

/** Skips a test of a route that this server neither has nor describes. Any other answer has to be right. */
async function needs(context: TestContext, route: string) {
  const response = await fetch(`${authData.base_url}/api/external${route}`, {
    headers: { authorization: `Bearer ${authData.api_key}` },
  });
  const { paths } = (await (await fetch(`${authData.base_url}/api/external/openapi.json`)).json()) as Item;
  context.skip(response.status === 404 && !paths[route], `this server has no route ${route}`);
}

test('every hidden trigger is tested here', () => {
  const hidden = Object.values(App.triggers as Item).filter(({ display }) => display.hidden);
  expect(hidden.map(({ key }) => key).sort()).toEqual(['contact_list', 'deal_list', 'member_list', 'stage_list']);
});

test('contact_list gives the newest contacts, page by page', async () => {
  const { perform, outputFields } = operationOf('contact_list');
  const newest = await contact();
  const items: Item[] = await run(perform, { meta: { page: 0 } });
  expect(items[0]).toEqual(newest);
  expect(differences(items[0]!, outputFields)).toEqual([]);
  const next: Item[] = await run(perform, { meta: { page: 1 } });
  expect(next.map(({ id }) => id)).not.toContain(newest.id);
});

test('deal_list gives the newest deals', async () => {
  const { perform, outputFields } = operationOf('deal_list');
  const newest = await deal();
  const items: Item[] = await run(perform, { meta: { page: 0 } });
  expect(items[0]).toEqual(newest);
  expect(differences(items[0]!, outputFields)).toEqual([]);
});

test('member_list gives the members', async (context) => {
  await needs(context, '/members');
  const { perform, outputFields } = operationOf('member_list');
  const items: Item[] = await run(perform);
  expect(items).toEqual(expect.any(Array));
  if (memberId) expect(items).toContainEqual({ id: memberId, name: 'Alice Martin', email: 'alice.martin@example.com' });
  for (const item of items) expect(differences(item, outputFields)).toEqual([]);
});

test('stage_list gives the stages in use', async (context) => {
  await needs(context, '/deals/stages');
  const { perform, outputFields } = operationOf('stage_list');
  const stage = unique('stage');
  await deal({ stage, value: 12.5, currency: 'EUR' });
  const items: Item[] = await run(perform);
  const item = items.find(({ id }) => id === stage);
  expect(item).toEqual({ id: stage, stage, deals: 1, openDeals: 1, openValue: [{ currency: 'EUR', value: 12.5 }] });
  expect(differences(item!, outputFields)).toEqual([]);
});
