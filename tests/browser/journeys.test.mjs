// What people do with the dashboard, from the printed link on.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { receiver, says, start } from './support.mjs';

let world;
let anna;
before(async () => {
  world = await start();
  anna = await world.person();
});
after(() => world?.stop());

test('the printed link lets in, once', async () => {
  const answer = await anna.goto(world.server.signInLink);
  assert.equal(answer.status(), 200);
  assert.equal(await anna.locator('h1').innerText(), 'Overview');
  const other = await world.person();
  assert.equal((await other.goto(world.server.signInLink)).status(), 404);
  await other.goto(world.page('/contacts'));
  assert.match(other.url(), /sign-in\?to=/);
});

test('the inbox receives the first webhook, and what fails is seen and tried again', async () => {
  await anna.goto(world.page('/try'));
  await anna.click('text=Open an inbox');
  await anna.click('text=Subscribe it to all events');
  await anna.click('text=Create a contact');
  await says(anna, '#list summary', 'contact.created');
  await says(anna, '#list summary', 'signature verified');
  const events = await anna.context().newPage();
  await events.goto(world.page('/events'));
  const rows = await events.locator('#list tbody tr').count();

  await anna.selectOption('[name=answer]', 'error');
  await anna.click('form[action$="/answer"] button');
  await anna.click('text=Create a contact');
  await says(anna, '#list summary', '500');
  // The other page shows it without being loaded anew.
  await events.waitForFunction((count) => document.querySelectorAll('#list tbody tr').length > count, rows);
  await events.locator('#list tbody a').first().click();
  await says(events, '#list', 'http://127.0.0.1');
  await events.locator('#list tbody a').first().click();
  await says(events, '#list', 'answered 500');

  await anna.selectOption('[name=answer]', 'ok');
  await anna.click('form[action$="/answer"] button');
  await anna.click('text=See the webhook');
  // The second attempt comes by itself.
  await says(events, '#list header', 'delivered');
});

test('a webhook is paused, resumed with what waited, replayed by count, and removed', async () => {
  const shop = await receiver();
  await anna.goto(world.page('/webhooks/new'));
  await anna.fill('[name=target_url]', 'http://10.0.0.1/hook');
  await says(anna, '#judged', 'refused');
  await anna.fill('[name=target_url]', shop.url);
  await says(anna, '#judged', 'is allowed');
  await anna.uncheck('[name=events][value="*"]');
  await anna.check('[name=events][value="deal.created"]');
  await anna.locator('[name=filter_field]').first().selectOption('priority');
  await anna.locator('[name=filter_value]').first().fill('high');
  await anna.click('text=Save');
  assert.match(await anna.locator('.key').innerText(), /^whsec_/);
  const here = world.page(`/webhooks/${(await anna.locator('form[action$="/pause"]').getAttribute('action')).split('/')[3]}`);

  await anna.fill('#sample', '{"title": "Of mine"}');
  await anna.click('form[action$="/test"] button');
  await says(anna, '.say', '200');
  await anna.click('.say summary >> nth=0');
  await says(anna, '.say pre', 'Of mine');
  assert.equal(await anna.inputValue('#sample'), '{"title": "Of mine"}', 'what was edited survives the test');
  await anna.click('text=Pause');
  await world.api('POST', '/deals', { title: 'Waits', priority: 'high' });
  await world.api('POST', '/deals', { title: 'Not wanted', priority: 'low' });
  await says(anna, '#state', 'Resume and deliver what waits');
  await anna.click('text=Resume and deliver what waits');
  await says(anna, '#list', 'delivered');
  assert.equal(await anna.locator('#list tbody tr').count(), 1);

  await anna.fill('[name=since][required]', '2020-01-01');
  await anna.locator('[name=only]').selectOption('all');
  await anna.click('text=Count');
  await says(anna, '.box', 'Events that would be sent: 1');
  await anna.click('text=Send them again');
  await says(anna, '#replays', '1 delivered');
  assert.deepEqual(shop.received, ['deal.created', 'deal.created', 'deal.created']);

  await anna.goto(here);
  anna.once('dialog', (dialog) => dialog.accept());
  await anna.click('form[action$="/delete"] button');
  await says(anna, '.say', 'Deleted.');
  shop.close();
});

test('what was given up is found across all webhooks and sent again', async () => {
  const broken = await receiver();
  broken.answers.status = 400;
  await world.api('POST', '/webhooks/subscribe', { event: 'contact.created', target_url: broken.url });
  await world.api('POST', '/contacts', { name: 'Lost Event', phoneNumber: '+33600000077' });
  await anna.goto(world.page('/undelivered'));
  // Three retries, as the test's server waits between them.
  await says(anna, '#list', broken.url, 60_000);
  broken.answers.status = 200;
  await anna.click('text=Redeliver all that match');
  await says(anna, '.say', 'will be sent again');
  await says(anna, '#list', 'Everything was delivered.', 30_000);
  broken.close();
});

test('a key is made, used, and revoked', async () => {
  await anna.goto(world.page('/settings/api-keys'));
  await anna.click('summary');
  await anna.fill('form [name=name]', 'A Zap');
  await anna.selectOption('[name=kind]', 'webhook');
  assert.equal(await anna.isChecked('[value="contacts:write"]'), false, 'what a webhook needs is preset');
  await anna.click('form[action$="/api-keys"] .btn.main');
  const key = await anna.locator('.key').innerText();
  assert.match(key, /^whk_[0-9a-f]{64}$/);
  assert.equal((await world.api('GET', '/webhooks', undefined, key)).status, 200);
  assert.equal((await world.api('GET', '/contacts', undefined, key)).status, 403);
  await anna.goto(world.page('/settings/api-keys'));
  anna.once('dialog', (dialog) => dialog.accept());
  await anna.locator('tr', { hasText: 'A Zap' }).locator('button').click();
  await says(anna, 'tr', 'revoked');
  await new Promise((resolve) => setTimeout(resolve, 600));
  assert.equal((await world.api('GET', '/webhooks', undefined, key)).status, 401);
});

test('a deal is moved by mouse and by keyboard, and a refused move goes back', async () => {
  const { data: deal } = await world.api('POST', '/deals', { title: 'Big one', value: 25000, stage: 'new' });
  await world.api('POST', '/deals', { title: 'Other', stage: 'proposal' });
  await anna.goto(world.page('/deals/board'));
  const in_ = (to) => anna.locator(`.column[data-to="${to}"] [id="${deal.id}"]`);
  await anna.dragAndDrop(`[id="${deal.id}"] b`, '.column[data-to="stage:proposal"]');
  await says(anna, '#told', 'Big one: moved to proposal');
  assert.equal(await in_('stage:proposal').count(), 1);
  assert.equal((await world.api('GET', `/deals/${deal.id}`)).data.stage, 'proposal');

  // By keyboard: the choice of the card, without the mouse.
  await anna.locator(`[id="to-${deal.id}"]`).focus();
  await anna.keyboard.type('won');
  await anna.keyboard.press('Enter');
  await says(anna, '#told', 'Big one: moved to won');
  assert.equal(await in_('status:won').count(), 1);
  assert.equal((await world.api('GET', `/deals/${deal.id}`)).data.status, 'won');

  // Somebody else deletes it, and the board does not know yet.
  await anna.evaluate(() => document.getElementById('live').remove());
  await world.api('DELETE', `/deals/${deal.id}`);
  await anna.dragAndDrop(`[id="${deal.id}"] b`, '.column[data-to="stage:proposal"]');
  await says(anna, '#told', 'No such deal');
  assert.equal(await in_('status:won').count(), 1, 'it went back');
});

test('two people edit one contact: the second one sees both versions', async () => {
  const { data: contact } = await world.api('POST', '/contacts', { name: 'Shared', phoneNumber: '+33600000099' });
  await anna.goto(world.page(`/contacts/${contact.id}`));
  const other = await anna.context().newPage();
  await other.goto(world.page(`/contacts/${contact.id}`));
  await other.fill('[name=city]', 'Lyon');
  await other.click('main .btn.main');
  await anna.fill('[name=city]', 'Nice');
  await anna.click('main .btn.main');
  await says(anna, '[role=alert]', 'Somebody else changed this meanwhile');
  await says(anna, '.problem', 'Now: Lyon');
  assert.equal((await world.api('GET', `/contacts/${contact.id}`)).data.city, 'Lyon');
  assert.equal(await anna.inputValue('[name=city]'), 'Nice');
  await anna.click('main .btn.main');
  await says(anna, '.say.done', 'Saved.');
  assert.equal((await world.api('GET', `/contacts/${contact.id}`)).data.city, 'Nice');
  await other.close();
});

test('somebody is invited, chooses a password, and may what the role allows', async () => {
  await anna.goto(world.page('/settings/users'));
  await anna.fill('form[action$="/users"] [name=name]', 'Ben Reader');
  await anna.fill('form[action$="/users"] [name=email]', 'ben@example.com');
  await anna.selectOption('form[action$="/users"] [name=role]', 'read_only');
  await anna.click('text=Invite');
  const link = await anna.locator('.key').innerText();
  const ben = await world.person({ locale: 'fr-FR' });
  await ben.goto(link);
  await ben.fill('[name=password]', 'a long password');
  await ben.click('button.main');
  assert.equal(await ben.locator('h1').innerText(), 'Aperçu');
  assert.equal(await ben.locator('html').getAttribute('lang'), 'fr');
  await ben.goto(world.page('/contacts'));
  assert.equal(await ben.locator('text=Nouveau contact').count(), 0);
  assert.equal((await ben.goto(world.page('/settings/users'))).status(), 403);
  const refused = await ben.evaluate(async () => {
    const body = new URLSearchParams({ name: 'X', phoneNumber: '+33100000009' });
    return (await fetch('/dashboard/contacts', { method: 'POST', body })).status;
  });
  assert.equal(refused, 403);
  await ben.goto(world.page('/account'));
  await ben.selectOption('[name=language]', 'en');
  await ben.selectOption('[name=theme]', 'dark');
  await ben.click('form[action$="/look"] button');
  assert.equal(await ben.locator('html').getAttribute('data-theme'), 'dark');
  assert.equal(await ben.locator('h1').innerText(), 'Account');
});

test('forms, lists and signing in work without scripts', async () => {
  const plain = await world.person({ javaScriptEnabled: false });
  await plain.goto(world.page('/contacts'));
  await plain.fill('[name=email]', 'ben@example.com');
  await plain.fill('[name=password]', 'a long password');
  await plain.click('button.main');
  assert.equal(await plain.locator('h1').innerText(), 'Contacts', 'it goes on with the page that was wanted');
  await plain.fill('[name=search]', 'Lost');
  await plain.click('form[role=search] button');
  assert.match(plain.url(), /search=Lost/);
  assert.equal(await plain.locator('#list tbody tr').count(), 1);
});

test('nothing was asked of another host, and no script or policy failed', () => {
  assert.deepEqual(world.faults, []);
});
