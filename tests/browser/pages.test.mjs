// Every page, light and dark, wide and narrow: nothing serious for axe, nothing that scrolls sideways.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { findings, overflows, receiver, start } from './support.mjs';

let world;
let anna;
let shop;
let paths;
before(async () => {
  world = await start();
  shop = await receiver();
  anna = await world.person();
  await anna.goto(world.server.signInLink);
  const hook = (await world.api('POST', '/webhooks/subscribe', { event: '*', target_url: shop.url })).data;
  await world.api('POST', '/webhooks/subscribe', { event: 'deal.*', target_url: 'http://127.0.0.1:9/closed' });
  const contact = (await world.api('POST', '/contacts', { name: 'Émile <b>Dubois</b>', phoneNumber: '+33612345678', tags: ['lead'] })).data;
  const deal = (await world.api('POST', '/deals', { title: 'A deal with a rather long title', value: 1234.5, priority: 'high', contactId: contact.id })).data;
  await anna.goto(world.page('/try'));
  await anna.click('text=Open an inbox');
  await anna.click('text=Subscribe it to all events');
  await anna.click('text=Create a contact');
  const event = (await world.api('GET', '/events/history?limit=1')).data[0].metadata.eventId;
  const delivery = (await world.api('GET', `/events/${event}/deliveries`)).data[0].id;
  paths = [
    '', '?range=30d', '/events', `/events/${event}`, `/deliveries/${delivery}`, '/webhooks', `/webhooks/${hook.id}`,
    '/webhooks/new', `/webhooks/${hook.id}/edit`, '/undelivered', '/contacts', '/contacts?search=nobody', '/contacts/new',
    `/contacts/${contact.id}`, '/deals', '/deals/board', '/deals/new', `/deals/${deal.id}`, '/try', '/settings/api-keys',
    '/settings/company', '/settings/users', '/settings/audit-log', '/account', '/nowhere',
  ];
});
after(async () => {
  shop?.close();
  await world?.stop();
});

for (const colorScheme of ['light', 'dark']) {
  test(`every page is usable, ${colorScheme}`, async () => {
    const bad = [];
    await anna.emulateMedia({ colorScheme });
    for (const width of [1440, 390]) {
      await anna.setViewportSize({ width, height: 900 });
      for (const path of paths) {
        await anna.goto(world.page(path));
        if (await overflows(anna)) bad.push(`${path} at ${width}: scrolls sideways`);
        // Wide in light, narrow in dark: axe takes its time, and finds the same in the other two.
        if ((width === 390) === (colorScheme === 'dark')) {
          for (const finding of await findings(anna)) bad.push(`${path} at ${width}: ${finding}`);
        }
        if (process.env.SHOTS) {
          const name = `${path.replace(/[^a-z]+/g, '-').slice(0, 20)}-${width}-${colorScheme}.png`;
          await anna.screenshot({ path: `${process.env.SHOTS}/${name}`, fullPage: true });
        }
      }
    }
    assert.deepEqual(bad, []);
  });
}

test('a stranger sees the sign-in page, in the browser’s language', async () => {
  const stranger = await world.person({ locale: 'fr-FR' });
  await stranger.goto(world.page('/sign-in'));
  assert.equal(await stranger.locator('h1').innerText(), 'Se connecter');
  assert.deepEqual(await findings(stranger), []);
  await stranger.click('text=English');
  assert.equal(await stranger.locator('h1').innerText(), 'Sign in');
});

test('nothing was asked of another host, and no script or policy failed', () => {
  assert.deepEqual(world.faults, []);
});
