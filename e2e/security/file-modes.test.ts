import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runCommand } from '../harness/command.ts';
import { Member } from '../harness/member.ts';
import { keysteadBundle } from '../harness/paths.ts';
import { Program } from '../harness/program.ts';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';

/** Returns all files in a directory to which other users have any access, including the directory and sockets. */
function open(root: string): string[] {
  const found: string[] = [];
  const visit = (path: string): void => {
    const stat = statSync(path);
    if ((stat.mode & 0o077) !== 0) found.push(`${relative(root, path)} ${(stat.mode & 0o777).toString(8)}`);
    if (stat.isDirectory()) for (const name of readdirSync(path)) visit(join(path, name));
  };
  visit(root);
  return found;
}

function names(root: string): string[] {
  return readdirSync(root, { recursive: true }) as string[];
}

describe('files are private to their owner', () => {
  const folders: string[] = [];
  const fresh = (name: string): string => {
    const folder = tempDir(name);
    folders.push(folder);
    return join(folder, 'data');
  };

  afterAll(() => {
    for (const folder of folders) removeTempDir(folder);
  });

  it('those of a member and of its storage engine', async () => {
    const dataDir = fresh('modes');
    const member = await Member.start({
      kind: 'keystead',
      dataDir,
      flags: ['--auto-tls', '--snapshot-count=20'],
    });
    try {
      for (let count = 0; count < 100; count++) {
        const body = JSON.stringify({ key: 'Zm9v', value: Buffer.alloc(10_000, count).toString('base64') });
        await fetch(`${member.clientUrl}/v3/kv/put`, { method: 'POST', body });
      }
      await fetch(`${member.clientUrl}/v3/maintenance/defragment`, { method: 'POST', body: '{}' });
      expect(open(dataDir)).toEqual([]);
      // After a stop and a start the engine has made others.
      await member.restart();
      expect(open(dataDir)).toEqual([]);
      expect(
        names(dataDir).filter((name) => /\.(sst|log|wal)$|MANIFEST|OPTIONS/.test(name)).length,
      ).toBeGreaterThan(3);
    } finally {
      await member.destroy();
    }
  });

  it('a warning for a directory that others can read', async () => {
    const dataDir = fresh('modes-open');
    mkdirSync(dataDir);
    chmodSync(dataDir, 0o755);
    const member = await Member.start({ kind: 'keystead', dataDir });
    try {
      await member.program.sees('check file permission');
      expect(open(dataDir)).toEqual([' 755']);
    } finally {
      await member.destroy();
    }
  });

  it('those of a restored snapshot', async () => {
    const member = await Member.start({ kind: 'keystead' });
    const folder = tempDir('modes-restored');
    folders.push(folder);
    try {
      await fetch(`${member.clientUrl}/v3/kv/put`, { method: 'POST', body: '{"key":"Zm9v","value":"YmFy"}' });
      const response = await fetch(`${member.clientUrl}/v3/maintenance/snapshot`, {
        method: 'POST',
        body: '{}',
      });
      const blobs = (await response.text())
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => (JSON.parse(line) as { result: { blob?: string } }).result.blob ?? '');
      const file = join(folder, 'snapshot.db');
      writeFileSync(file, Buffer.concat(blobs.map((blob) => Buffer.from(blob, 'base64'))), { mode: 0o600 });
      const dataDir = join(folder, 'restored');
      const args = [keysteadBundle(), 'snapshot', 'restore', file, `--data-dir=${dataDir}`];
      const { code, stderr } = await runCommand(process.execPath, args);
      expect({ code, stderr }).toMatchObject({ code: 0 });
      expect(open(dataDir)).toEqual([]);
    } finally {
      await member.destroy();
    }
  });

  it('a socket', async () => {
    const dataDir = fresh('modes-socket');
    const socket = join(dataDir, '..', 'socket');
    const args = [
      keysteadBundle(),
      `--data-dir=${dataDir}`,
      `--listen-client-urls=unix://${socket}:0`,
      '--advertise-client-urls=http://127.0.0.1:1',
      '--listen-peer-urls=http://127.0.0.1:0',
    ];
    const program = new Program('keystead with a socket', process.execPath, args);
    try {
      await program.sees('ready to serve client requests');
      const found = names(join(dataDir, '..')).filter((name) => name.startsWith('socket'));
      expect(found.length).toBeGreaterThan(0);
      for (const name of found) expect(statSync(join(dataDir, '..', name)).mode & 0o077).toBe(0);
    } finally {
      await program.stop('SIGKILL').catch(() => undefined);
    }
  });
});
