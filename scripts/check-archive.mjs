/** `check-archive.mjs ARCHIVE` unpacks a release in a folder of its own, starts its server and asks it for its health. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const START_MS = 30_000;

const folder = mkdtempSync(join(tmpdir(), 'keystead-release-'));
let server;
try {
  execFileSync('tar', ['-xzf', process.argv[2], '-C', folder]);
  const [top] = readdirSync(folder);
  const client = `http://127.0.0.1:${await freePort()}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  server = spawn(
    process.execPath,
    [
      join(folder, top, 'dist/keystead.js'),
      ...['--data-dir', join(folder, 'data'), '--name', 'm', '--initial-cluster', `m=${peer}`],
      ...['--listen-client-urls', client, '--advertise-client-urls', client],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
    ],
    // A folder without node_modules above it, so that only what the archive holds can be loaded.
    { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  await healthy(`${client}/health`);
} finally {
  if (server !== undefined && server.exitCode === null) {
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill();
    await ended;
  }
  rmSync(folder, { recursive: true, force: true });
}

async function healthy(url) {
  const end = Date.now() + START_MS;
  for (;;) {
    if (server.exitCode !== null) throw new Error(`the server of the archive ended with ${server.exitCode}`);
    try {
      const { health } = await (await fetch(url)).json();
      if (health === 'true') return;
    } catch {
      // Not listening yet.
    }
    if (Date.now() > end) throw new Error('the server of the archive is not healthy');
    await sleep(100);
  }
}

function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
