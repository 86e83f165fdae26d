import { readFileSync } from 'node:fs';
import { defineApp, version as platformVersion } from 'zapier-platform-core';
import { authentication } from './authentication.js';
import { creates } from './creates/index.js';
import { searches } from './searches/index.js';
import { addApiKey, explainErrors } from './server.js';
import { eventTriggers } from './triggers/events.js';
import { listTriggers } from './triggers/lists.js';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));

const byKey = <T extends { key: string }>(all: T[]) => Object.fromEntries(all.map((one) => [one.key, one]));

export default defineApp({
  version,
  platformVersion,
  authentication,
  beforeRequest: [addApiKey],
  afterResponse: [explainErrors],
  triggers: byKey([...eventTriggers, ...listTriggers]),
  creates: byKey(creates),
  searches: byKey(searches),
});
