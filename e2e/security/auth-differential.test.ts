import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Member, serverUnderTest } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';
import { AuthRun } from './auth-run.ts';

const missing = missingPeers('etcd');
const requests = Number(process.env['KEYSTEAD_AUTH_REQUESTS'] ?? 1_500);
const seeds = (process.env['KEYSTEAD_AUTH_SEEDS'] ?? '1,2').split(',').map(Number);
/** From so many on, every kind of request that came often must have been both allowed and refused. */
const MANY = 10_000;
const OFTEN = 150;
/** These are never refused for missing permissions. */
const NEVER_REFUSED = new Set([
  ...['login', 'auth status', 'status', 'alarm get', 'member list', 'lease grant'],
  // Root alone sends these, but for a few.
  ...['enable', 'disable'],
]);
/** Sent so as never to succeed. */
const NEVER_DONE = new Set([
  ...['member add', 'member remove', 'member update', 'member promote', 'move leader', 'leader'],
]);

describe.skipIf(missing !== undefined)(
  `users, roles and permissions behave as in etcd ${missing ?? ''}`,
  () => {
    // Alternately with simple tokens and with signed ones, which each server accepts from the other.
    it.each(seeds.map((seed) => [seed, seed % 2 === 0 ? 'signed' : 'simple'] as const))(
      `${requests} requests of seed %i, %s tokens`,
      { timeout: 60_000 + requests * 100 },
      async (seed, kind) => {
        const directory = tempDir('auth');
        const secret = kind === 'signed' ? 'a secret of some length, long enough for anybody' : undefined;
        const keyFile = join(directory, 'secret');
        writeFileSync(keyFile, secret ?? '');
        const flags = [
          ...['--bcrypt-cost=4', '--auth-token-ttl=86400'],
          ...(kind === 'signed' ? [`--auth-token=jwt,sign-method=HS256,priv-key=${keyFile},ttl=24h`] : []),
        ];
        const members = await Promise.all([
          Member.start({ kind: 'etcd', name: 'same', flags }),
          Member.start({ kind: serverUnderTest, name: 'same', flags }),
        ]);
        const run = new AuthRun(seed, members, secret);
        try {
          await run.run(requests);
        } finally {
          await Promise.all(members.map((member) => member.destroy()));
          removeTempDir(directory);
        }
        expect(run.differences.join('\n\n')).toBe('');
        if (requests < MANY) return;
        for (const [label, { all, refused, permitted }] of run.seen) {
          if (all < OFTEN) continue;
          if (!NEVER_REFUSED.has(label)) expect(refused, `${label} refused`).toBeGreaterThan(0);
          if (!NEVER_DONE.has(label)) expect(permitted, `${label} permitted`).toBeGreaterThan(0);
        }
      },
    );
  },
);
