import type { Authentication, Bundle, ZObject } from 'zapier-platform-core';
import { apiUrl } from './server.js';

const test = async (z: ZObject, bundle: Bundle) => (await z.request(apiUrl(bundle, '/test'))).data;

export const authentication: Authentication = {
  type: 'custom',
  test,
  fields: [
    {
      key: 'base_url',
      label: 'Base URL',
      type: 'string',
      required: true,
      placeholder: 'https://isao.example.com',
      helpText: 'The address of your ISAO server, with https:// in front. Zapier must be able to reach it.',
    },
    {
      key: 'api_key',
      label: 'API Key',
      type: 'password',
      required: true,
      helpText:
        'Create a key with the permissions `webhooks:write`, `contacts:write` and `deals:write` under [Settings, API keys]({{bundle.authData.base_url}}/dashboard/settings/api-keys) of your server.',
    },
  ],
  // A field of the answer of the test.
  connectionLabel: '{{company_name}}',
};
