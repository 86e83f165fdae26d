// Starts the server under test, with a database of its own. ISAO_BIN names the binary.
// With ISAO_URL and ISAO_KEY the tests use a server that is there already.
import type { TestProject } from 'vitest/node';
import { startServer } from '../../../server.mjs';

declare module 'vitest' {
  export interface ProvidedContext {
    url: string;
    key: string;
    /** A member of the company, and a key that may only read contacts; empty with ISAO_URL. */
    memberId: string;
    readKey: string;
  }
}

export default async function setup(project: TestProject) {
  const { ISAO_URL, ISAO_KEY, ISAO_BIN } = process.env;
  if (ISAO_URL && ISAO_KEY) {
    project.provide('url', ISAO_URL);
    project.provide('key', ISAO_KEY);
    project.provide('memberId', '');
    project.provide('readKey', '');
    return;
  }
  const server = await startServer(ISAO_BIN);
  project.provide('url', server.url);
  project.provide('key', server.key);
  project.provide('memberId', server.memberId);
  project.provide('readKey', server.readKey);
  return server.stop;
}
