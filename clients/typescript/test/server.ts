/** The server under test, which `clients/with-server.mjs` starts. */
export const server = {
  url: setting('ISAO_URL'),
  /** A key with all permissions. */
  key: setting('ISAO_KEY'),
  /** A key that may only read contacts. */
  readKey: setting('ISAO_READ_KEY'),
};

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run the tests by clients/run, see clients/README.md`);
  return value;
}
