import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { events } from '../../src/catalogue.js';
import { eventOf } from '../../src/triggers/events.js';

test('the catalogue agrees with openapi.json', () => {
  execFileSync(process.execPath, ['../generate.mjs', '--check'], { stdio: 'pipe' });
});

test('every event has a trigger, but for deleted records', () => {
  const without = events.map(({ event }) => event).filter((event) => !Object.values(eventOf).includes(event));
  expect(without).toEqual(['contact.deleted', 'deal.deleted']);
});
