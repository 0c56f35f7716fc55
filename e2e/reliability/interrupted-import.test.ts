import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member } from '../harness/member.ts';
import { keysteadBundle, missingPeers, requirePeer } from '../harness/paths.ts';
import { runCommand } from '../harness/command.ts';
import { freePort } from '../harness/ports.ts';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';

const missing = missingPeers('etcd', 'etcdctl', 'benchmark');
const KEYS = 20_000;
const ROUNDS = 8;

/** Files are compared by their hashes: a list of their bytes takes a test minutes and gigabytes to compare. */
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe.skipIf(missing !== undefined)(
  `a data directory that is not whole ${missing ?? ''}`.trimEnd(),
  () => {
    const folder = tempDir('interrupted');
    const saved = join(folder, 'saved.db');
    let etcd: Member;
    beforeAll(async () => {
      etcd = await Member.start({ kind: 'etcd', name: 'm0' });
      const load = ['--clients=100', '--conns=10', 'put', `--total=${KEYS}`, `--key-space-size=${KEYS}`];
      const { code, stderr } = await runCommand(
        requirePeer('benchmark'),
        [`--endpoints=${etcd.endpoint}`, ...load, '--sequential-keys', '--val-size=512'],
        { timeoutMs: 60_000 },
      );
      if (code !== 0) throw new Error(stderr);
      await new Etcdctl(etcd.endpoint).ok(['snapshot', 'save', saved]);
      await etcd.stop();
    }, 120_000);
    afterAll(async () => {
      await etcd.destroy();
      removeTempDir(folder);
    });

    interface Ports {
      readonly clientPort: number;
      readonly peerPort: number;
    }
    const startOn = (dataDir: string, { clientPort, peerPort }: Ports): Promise<Member> =>
      Member.start({ kind: 'keystead', name: 'm0', dataDir, clientPort, peerPort });

    it('is refused and not changed if it belongs to etcd', async () => {
      const contents = (): [string, string][] =>
        readdirSync(etcd.dataDir, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map(({ parentPath, name }) => [
            join(parentPath, name),
            sha256(readFileSync(join(parentPath, name))),
          ]);
      const before = contents();
      await expect(startOn(etcd.dataDir, etcd)).rejects.toThrow(
        /keystead import --from .*nothing has been changed/,
      );
      expect(contents()).toEqual(before);
      await etcd.start();
      await etcd.stop();
    });

    /** Runs a command that fills a directory, kills it at several moments, and then starts a server each time. */
    async function killRepeatedly(
      label: string,
      ports: { clientPort: number; peerPort: number },
      command: (dataDir: string) => string[],
    ): Promise<void> {
      const outcomes: string[] = [];
      let wholeMs = 0;
      for (let round = 0; round <= ROUNDS; round += 1) {
        const dataDir = join(folder, `${label}-${round}`);
        const startedAt = performance.now();
        const child = spawn(process.execPath, [keysteadBundle(), ...command(dataDir)], { stdio: 'ignore' });
        const ended = once(child, 'exit');
        // The first round measures how long all of it takes.
        if (round > 0) {
          await sleep((wholeMs * round) / ROUNDS);
          child.kill('SIGKILL');
        }
        await ended;
        if (round === 0) wholeMs = performance.now() - startedAt;
        if (!existsSync(dataDir)) {
          outcomes.push('nothing was made');
          continue;
        }
        const server = await startOn(dataDir, ports).catch((error: unknown) => String(error));
        if (typeof server === 'string') {
          expect(server).toContain('was interrupted');
          outcomes.push('refused');
          rmSync(dataDir, { recursive: true });
          continue;
        }
        const count = await new Etcdctl(server.endpoint).ok([
          'get',
          '',
          '--prefix',
          '--count-only',
          '-w',
          'fields',
        ]);
        expect(count).toContain(`"Count" : ${KEYS}\n`);
        outcomes.push('whole');
        await server.destroy();
      }
      console.log(`${label}: ${outcomes.join(', ')}`);
      expect(outcomes[0]).toBe('whole');
      expect(outcomes).toContain('refused');
    }

    it('is refused after an import that was killed', { timeout: 120_000 }, async () => {
      await killRepeatedly('import', etcd, (dataDir) => [
        'import',
        `--from=${etcd.dataDir}`,
        `--data-dir=${dataDir}`,
      ]);
    });

    it('is refused after a restore that was killed', { timeout: 120_000 }, async () => {
      const ports = { clientPort: await freePort(), peerPort: await freePort() };
      const url = `http://127.0.0.1:${ports.peerPort}`;
      await killRepeatedly('restore', ports, (dataDir) => [
        ...[
          'snapshot',
          'restore',
          saved,
          `--data-dir=${dataDir}`,
          '--name=m0',
          `--initial-cluster=m0=${url}`,
        ],
        `--initial-advertise-peer-urls=${url}`,
      ]);
    });
  },
);
