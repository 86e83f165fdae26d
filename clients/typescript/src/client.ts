import createFetchClient, { type Client as FetchClient } from 'openapi-fetch';

import type { paths } from './schema.js';

/** Where the API is on a server, as in `servers` of openapi.json. */
const BASE = '/api/external';

/** A client whose paths, parameters, bodies and answers are those of openapi.json. */
export type Client = FetchClient<paths>;

export interface ClientOptions {
  /** The server, such as `https://crm.example.com`. */
  url: string;
  /** An API key. */
  key: string;
  /** Used instead of the global `fetch`. */
  fetch?: (request: Request) => Promise<Response>;
}

/** Returns a client of the server at `url` that sends `key` with every request. */
export function createClient({ url, key, fetch }: ClientOptions): Client {
  return createFetchClient<paths>({
    baseUrl: url.replace(/\/+$/, '') + BASE,
    headers: { Authorization: `Bearer ${key}` },
    ...(fetch && { fetch }),
  });
}
