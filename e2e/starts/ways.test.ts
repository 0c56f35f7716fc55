import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { runCommand, type CommandResult } from '../harness/command.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member } from '../harness/member.ts';
import { keysteadBundle, missingPeers, repositoryRoot } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import type { Program } from '../harness/program.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { tempDir } from '../harness/temp-dir.ts';
import { sampleConfig } from './sample-config.ts';
import { listening, putAndGet, read, startBundle } from './started-bundle.ts';

/*
 * Each way to start that the README and docs/ name, once, with the built server. A configuration file once crashed it,
 * whatever was in the file, because the bundle could not load its YAML parser; see flags.test.ts for the flags.
 */

let program: Program | undefined;
afterEach(() => program?.stop('SIGKILL'));

const missing = missingPeers('etcd', 'etcdctl');

interface Place {
  readonly clientUrl: string;
  readonly peerUrl: string;
  readonly flags: readonly string[];
}

async function freePlace(name: string): Promise<Place> {
  const clientUrl = `http://127.0.0.1:${await freePort()}`;
  const peerUrl = `http://127.0.0.1:${await freePort()}`;
  const flags = [
    ...[`--name=${name}`, `--listen-client-urls=${clientUrl}`, `--advertise-client-urls=${clientUrl}`],
    ...[`--listen-peer-urls=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`],
    `--initial-cluster=${name}=${peerUrl}`,
  ];
  return { clientUrl, peerUrl, flags };
}

const tool = (...args: readonly string[]): Promise<CommandResult> =>
  runCommand(process.execPath, [keysteadBundle(), ...args]);

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, 'localhost', () => server.close(() => resolve(true)));
  });
}

const usualPorts =
  (await isFree(2379)) && (await isFree(2380)) ? '' : 'skipped: ports 2379 or 2380 are taken';

it.skipIf(usualPorts !== '')(`with no flag at all, on the usual ports ${usualPorts}`, async () => {
  const cwd = tempDir('plain');
  program = startBundle([], { cwd });
  expect(await putAndGet(program, 'http://localhost:2379')).toBe('works');
  expect(existsSync(join(cwd, 'default.etcd/member'))).toBe(true);
});

it("with a configuration file like etcd's sample", async () => {
  const cwd = tempDir('sample');
  const place = await freePlace('default');
  writeFileSync(join(cwd, 'etcd.conf.yml'), sampleConfig(place));
  program = startBundle(['--config-file', 'etcd.conf.yml'], { cwd });
  expect(await putAndGet(program, place.clientUrl)).toBe('works');
  expect(existsSync(join(cwd, 'default.etcd/member'))).toBe(true);
  expect(program.lines.some((line) => line.includes('"level":"debug"'))).toBe(true);
});

it('with a configuration file that the environment names', async () => {
  const cwd = tempDir('sample');
  const place = await freePlace('default');
  const path = join(cwd, 'etcd.conf.yml');
  writeFileSync(path, sampleConfig(place));
  program = startBundle([], { cwd, env: { ETCD_CONFIG_FILE: path } });
  expect(await putAndGet(program, place.clientUrl)).toBe('works');
});

it('by a link of the name etcd, as npm makes it', async () => {
  const folder = tempDir('link');
  const link = join(folder, 'etcd');
  symlinkSync(keysteadBundle(), link);
  const { clientUrl, flags } = await freePlace('linked');
  program = startBundle([...flags, `--data-dir=${join(folder, 'data')}`], {
    command: [process.execPath, link],
  });
  expect(await putAndGet(program, clientUrl)).toBe('works');
});

it('as npm start does, with a data directory relative to where it is called', async () => {
  const folder = tempDir('start');
  const { clientUrl, flags } = await freePlace('here');
  program = startBundle([...flags, '--data-dir', 'data'], {
    command: ['bash', join(repositoryRoot, 'scripts/start.sh')],
    cwd: repositoryRoot,
    env: { INIT_CWD: folder, GLIBC_TUNABLES: 'glibc.malloc.arena_max=9' },
  });
  expect(await putAndGet(program, clientUrl)).toBe('works');
  expect(existsSync(join(folder, 'data/member'))).toBe(true);
  // glibc may put a zero in place of a colon there.
  const environment = readFileSync(`/proc/${program.pid}/environ`, 'latin1').replaceAll('\0', ':');
  expect(environment).toContain(':GLIBC_TUNABLES=glibc.malloc.mxfast=0:glibc.malloc.arena_max=9');
});

it.skipIf(missing !== undefined)(
  `with data that snapshot restore made, and verify finds whole ${missing ?? ''}`,
  async () => {
    const folder = tempDir('restored');
    const origin = await Member.start({ kind: 'keystead', name: 'origin' });
    const saved = join(folder, 'saved.db');
    try {
      const etcdctl = new Etcdctl(origin.endpoint);
      await etcdctl.ok(['put', 'before', 'kept']);
      await etcdctl.ok(['snapshot', 'save', saved]);
    } finally {
      await origin.destroy();
    }
    const { clientUrl, peerUrl, flags } = await freePlace('restored');
    const dataDir = join(folder, 'data');
    const restored = await tool(
      ...['snapshot', 'restore', saved, '--data-dir', dataDir, '--name', 'restored'],
      ...['--initial-cluster', `restored=${peerUrl}`, '--initial-advertise-peer-urls', peerUrl],
    );
    expect(restored.code, restored.stderr).toBe(0);
    program = startBundle([...flags, `--data-dir=${dataDir}`]);
    expect(await putAndGet(program, clientUrl)).toBe('works');
    expect(await valueOf(clientUrl, 'before')).toBe('kept');
    await program.stop();
    const verified = await tool('verify', '--data-dir', dataDir);
    expect(verified.code, verified.stdout + verified.stderr).toBe(0);
  },
);

it.skipIf(missing !== undefined)(
  `with data that import took from etcd, and once more as a new cluster of one ${missing ?? ''}`,
  async () => {
    const folder = tempDir('imported');
    const origin = await Member.start({ kind: 'etcd', name: 'origin' });
    const dataDir = join(folder, 'data');
    const peerUrl = `http://127.0.0.1:${origin.peerPort}`;
    const flags = [
      ...[`--name=origin`, `--data-dir=${dataDir}`, `--initial-cluster=origin=${peerUrl}`],
      ...[`--listen-client-urls=${origin.clientUrl}`, `--advertise-client-urls=${origin.clientUrl}`],
      ...[`--listen-peer-urls=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`],
    ];
    try {
      await new Etcdctl(origin.endpoint).ok(['put', 'before', 'kept']);
      await origin.stop();
      const imported = await tool('import', '--from', origin.dataDir, '--data-dir', dataDir);
      expect(imported.code, imported.stderr).toBe(0);
    } finally {
      await origin.destroy();
    }
    for (const more of [[], ['--force-new-cluster']]) {
      program = startBundle([...flags, ...more]);
      expect(await putAndGet(program, origin.clientUrl)).toBe('works');
      expect(await valueOf(origin.clientUrl, 'before')).toBe('kept');
      await program.stop();
    }
  },
);

it('a command line that is wrong ends with 2, a configuration with 1, and the tools answer', async () => {
  expect((await tool('--no-such-flag')).code).toBe(2);
  expect((await tool('--heartbeat-interval=0')).code).toBe(1);
  expect((await tool('version')).stdout).toContain('Keystead');
  for (const help of [['help'], ['--help']]) expect((await tool(...help)).stdout).toContain('--data-dir');
});

async function valueOf(url: string, key: string): Promise<string> {
  if (program !== undefined) await listening(program, url);
  const client = new RpcClient(new URL(url).host);
  try {
    return await read(client, key);
  } finally {
    client.close();
  }
}
