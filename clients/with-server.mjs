// Runs a command against a server of its own, which has a database of its own:
//
//   node clients/with-server.mjs BINARY COMMAND…
//
// ISAO_URL, ISAO_KEY and ISAO_READ_KEY tell the command of the server.
import { spawn } from 'node:child_process';

import { startServer } from '../integrations/server.mjs';

const [binary, command, ...words] = process.argv.slice(2);
if (!binary || !command) {
  console.error('usage: node clients/with-server.mjs BINARY COMMAND…');
  process.exit(2);
}
const server = await startServer(binary);
const env = { ...process.env, ISAO_URL: server.url, ISAO_KEY: server.key, ISAO_READ_KEY: server.readKey };
const status = await new Promise((resolve) => {
  const child = spawn(command, words, { env, stdio: 'inherit' });
  child.on('error', (error) => {
    console.error(String(error));
    resolve(127);
  });
  child.on('exit', (code) => resolve(code ?? 1));
});
await server.stop();
process.exitCode = status;
