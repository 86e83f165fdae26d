// Starts the server under test, with a database of its own, on a free port of loopback.
import { execFile, spawn } from 'node:child_process';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** The company that a new server has. */
const COMPANY = 'Demo Company';

/** Longer than a start that has to fetch PostgreSQL first. */
const START_TIMEOUT_MS = 180_000;
const POLL_INTERVAL_MS = 100;
/** The embedded PostgreSQL stops a few seconds after its server. */
const DATABASE_STOP_TIMEOUT_MS = 30_000;

const pause = () => new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));

/**
 * Starts the server of `binary`. Its company has a member, and beside the key with all permissions
 * another that may only read contacts. `settings` are further words of its command line.
 */
export async function startServer(binary, settings = []) {
  if (!binary) throw new Error('Set ISAO_BIN to a server binary; see integrations/README.md');

  const directory = await mkdtemp(join(tmpdir(), 'isao-integrations-'));
  // As root, PostgreSQL runs as another user, who has to get through.
  await chmod(directory, 0o711);
  const data = join(directory, 'data');

  // The settings of whoever runs the tests are not for this server.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => name !== 'DATABASE_URL' && !name.startsWith('ISAO_')),
  );
  const server = spawn(binary, ['serve', '--bind', '127.0.0.1:0', '--data-dir', data, ...settings], {
    env: { ...env, ISAO_ALLOW_TARGETS: '127.0.0.1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let welcome = '';
  let log = '';
  server.stdout.on('data', (chunk) => (welcome += chunk));
  server.stderr.on('data', (chunk) => (log += chunk));
  const ended = new Promise((resolve) => {
    server.on('error', (error) => {
      log += error;
      resolve(null);
    });
    server.on('exit', resolve);
  });
  let running = true;
  void ended.then(() => (running = false));

  const deadline = Date.now() + START_TIMEOUT_MS;
  let url;
  while (!url) {
    if (!running || Date.now() > deadline) {
      server.kill('SIGKILL');
      throw new Error(`The server ${binary} did not start:\n${log}`);
    }
    await pause();
    url = /^isao listens on (\S+)$/m.exec(welcome)?.[1];
  }

  /** Runs a command of the server's binary on its database. */
  const command = async (...words) => {
    const options = ['--company', COMPANY, '--json', '--data-dir', data];
    return JSON.parse((await promisify(execFile)(binary, [...words, ...options], { env })).stdout);
  };
  const member = await command('members', 'create', '--name', 'Alice Martin', '--email', 'alice.martin@example.com');
  const reader = await command('keys', 'create', '--name', 'Reader', '--permissions', 'contacts:read');

  return {
    url,
    /** Lets whoever opens it first into the dashboard. */
    signInLink: /\S+\/dashboard\/sign-in\/\S+/.exec(welcome)?.[0],
    key: (await readFile(join(data, 'demo-key'), 'utf8')).trim(),
    memberId: member.id,
    readKey: reader.key,
    async stop() {
      server.kill('SIGTERM');
      const status = await ended;
      const stopped = Date.now() + DATABASE_STOP_TIMEOUT_MS;
      while (Date.now() < stopped && (await databaseRuns(data))) await pause();
      await rm(directory, { recursive: true, force: true });
      if (status !== 0) throw new Error(`The server ended with ${status}:\n${log.slice(-5000)}`);
    },
  };
}

const databaseRuns = async (data) =>
  (await readdir(data, { recursive: true })).some((name) => name.endsWith('postmaster.pid'));
