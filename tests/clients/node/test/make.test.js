// The page's configuration of Make's HTTP module, sent as that module does.
'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const { KEY, data, phone, snippet } = require('../isao');

test('the HTTP module creates a contact', async () => {
  const values = {
    your_api_key: KEY,
    'contact.name': 'Marie Curie',
    'contact.phone': phone(),
    'contact.email': '', // nothing mapped
  };
  const filled = snippet('make.json').replaceAll(/{{(.*?)}}/g, (_, name) => values[name]);
  const { url, method, headers, body } = JSON.parse(filled);

  const response = await fetch(url, { method, headers, body: JSON.stringify(body) });
  assert.equal(response.status, 201);
  const { data: created } = await response.json();
  assert.equal(created.name, 'Marie Curie');
  assert.equal(created.phoneNumber, values['contact.phone']);
  assert.equal(created.email, null);
  assert.deepEqual(created, await data('GET', `/contacts/${created.id}`));
});
