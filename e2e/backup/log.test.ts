import { randomBytes } from 'node:crypto';
import { copyFileSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { TestCluster } from '../clusters/test-cluster.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member } from '../harness/member.ts';
import { metricOf } from '../harness/metrics.ts';
import { missingPeers } from '../harness/paths.ts';
import { tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';
import { BackupCommand, listBackups, type Listed } from './backup-command.ts';
import { hashOf, withRestored } from './restored-member.ts';
import { S3Server } from './s3-server.ts';

const missing = missingPeers('etcdctl', 'versitygw');
const patience = { timeoutMs: 180_000, everyMs: 200 };

interface ListedLog {
  readonly log: string;
  readonly segments: number;
  readonly toRevision?: number;
  readonly toTime?: string;
  readonly fault?: string;
}

async function listLogs(place: BackupCommand): Promise<readonly ListedLog[]> {
  return (await place.json<{ logs: ListedLog[] }>('list')).logs;
}

async function revisionOf(member: Member): Promise<number> {
  return (await hashOf(member)).hash_revision;
}

/** Waits until the log has a revision. */
const stored = (place: BackupCommand, revision: number) =>
  eventually(
    `the log with revision ${revision}`,
    async () => ((await listLogs(place)).at(-1)?.toRevision ?? 0) >= revision,
    patience,
  );

/** Each kind of change: with and without leases, deletions of ranges, transactions, ends of leases. */
async function change(ctl: Etcdctl, n: number): Promise<void> {
  const value = randomBytes(1500).toString('hex');
  if (n % 7 === 3) await ctl.run(['del', '--prefix', `key/${n % 10}`]);
  else if (n % 7 === 5) {
    const grant = await ctl.run(['lease', 'grant', '300']);
    const id = /lease (\S+) granted/.exec(grant.stdout)?.[1] ?? '0';
    await ctl.run(['put', `leased/${n % 20}`, value, `--lease=${id}`]);
    if (n % 2 === 0) await ctl.run(['lease', 'revoke', id]);
  } else {
    const puts = Array.from({ length: 5 }, (_, at) => `put key/${(n + at) % 90} ${value}`).join('\n');
    await ctl.run(['txn'], { input: `\n${puts}\n\n\n` });
  }
}

describe.skipIf(missing !== undefined)(`the log between backups ${missing ?? ''}`, () => {
  it('reaches any revision between two backups, under load, with leaders killed and moved and S3 away', async () => {
    const folder = tempDir('backups');
    const keyFile = join(folder, 'key');
    writeFileSync(keyFile, randomBytes(32).toString('hex'));
    const s3 = await S3Server.start();
    const url = `s3://${s3.bucket}/prod?endpoint=${s3.endpoint}`;
    const cluster = await TestCluster.create(
      ['keystead', 'keystead', 'keystead'],
      [
        ...[`--keystead-backup-url=${url}`, '--keystead-backup-interval=10s'],
        ...[`--keystead-backup-key-file=${keyFile}`, '--keystead-backup-log-interval=500ms'],
      ],
      () => s3.environment,
    );
    const place = new BackupCommand([`--url=${url}`, `--key-file=${keyFile}`], s3.environment);
    let isWriting = true;
    const writing = Promise.all(
      [0, 1].map(async (start) => {
        for (let n = start; isWriting; n += 2) await change(cluster.ctl(), n);
      }),
    );
    const verified = async (): Promise<readonly Listed[]> =>
      (await listBackups(place)).filter(({ state }) => state === 'verified');
    const more = async (): Promise<void> => {
      const before = (await verified()).length;
      await eventually('another backup', async () => (await verified()).length > before, patience);
    };
    try {
      await more();
      // The live members can tell HashKV of each later revision, with this compaction.
      const compacted = await revisionOf(await cluster.leader());
      await cluster.ctl().ok(['compaction', String(compacted)]);
      await more();
      const killed = await cluster.leader();
      await killed.kill();
      await delay(2000);
      await killed.start();
      await more();
      const leader = await cluster.leader();
      await cluster.moveLeader(cluster.members.find((member) => member !== leader) ?? leader);
      await delay(2000);
      await s3.stop();
      await delay(3000);
      await s3.start();
      await more();
      await delay(2000);
      isWriting = false;
      await writing;
      const [member = leader] = cluster.members;
      await cluster.settled();
      const last = await revisionOf(member);
      await stored(place, last);

      const backups = (await verified()).filter(({ revision }) => revision > compacted);
      const [from, to] = [backups.at(-3), backups.at(-2)];
      const between = Math.floor(((from?.revision ?? 0) + (to?.revision ?? 0)) / 2);
      expect(between).toBeGreaterThan(from?.revision ?? 0);
      for (const revision of [between, (to?.revision ?? 0) - 1, last]) {
        const live = await hashOf(member, revision);
        await withRestored(place, [`--to-revision=${revision}`, '--bump-revision=0'], async (restored) => {
          expect(await hashOf(restored)).toEqual(live);
        });
      }
      const verify = await place.ok('verify');
      expect(verify).not.toContain('gap');
      expect(verify.match(/^log after .*: good: applied .* same HashKV as backup/gm)?.length).toBeGreaterThan(
        2,
      );
      expect(verify).toMatch(/^log after .*: good: applied .* the end of the log$/m);
      expect(await listLogs(place)).toHaveLength(1);
    } finally {
      isWriting = false;
      await writing;
      await cluster.destroy();
      await s3.destroy();
      rmSync(folder, { recursive: true });
    }
  });

  it('goes on after SIGKILL and a restart, reaches a time, and names what is damaged, missing or of another key', async () => {
    const folder = tempDir('backups');
    const keys = ['right', 'wrong'].map((name) => join(tempDir('keys'), name));
    for (const path of keys) writeFileSync(path, randomBytes(32));
    const [right = '', wrong = ''] = keys;
    const place = new BackupCommand([`--url=${folder}`, `--key-file=${right}`]);
    const flags = [
      ...[`--keystead-backup-url=${folder}`, '--keystead-backup-interval=1h'],
      ...[`--keystead-backup-key-file=${right}`, '--keystead-backup-log-interval=200ms'],
    ];
    const member = await Member.start({ kind: 'keystead', flags });
    const ctl = new Etcdctl(member.endpoint);
    const segments = (): string[] =>
      readdirSync(join(folder, 'log'))
        .filter((name) => name.endsWith('.log.enc'))
        .sort((a, b) => Number(a.split('-')[3]) - Number(b.split('-')[3]));
    try {
      await eventually('a backup', async () => (await listBackups(place))[0]?.state === 'verified', patience);
      for (const value of ['one', 'two']) {
        await ctl.ok(['put', 'a', value]);
        await member.kill();
        await member.start();
      }
      await stored(place, 3);
      const time = new Date().toISOString();
      // Large enough for more segments.
      for (let n = 0; n < 4; n += 1)
        await ctl.ok(['put', `large/${n}`], { input: randomBytes(700_000).toString('base64') });
      await ctl.ok(['put', 'a', 'three']);
      await stored(place, 8);
      const live = await hashOf(member);
      await withRestored(place, [`--to-time=${time}`], async (restored) => {
        expect((await new Etcdctl(restored.endpoint).ok(['get', 'a', '--print-value-only'])).trim()).toBe(
          'two',
        );
        expect(await revisionOf(restored)).toBe(1_000_000_003);
      });
      await withRestored(place, ['--to-latest', '--bump-revision=0'], async (restored) => {
        expect(await hashOf(restored)).toEqual(live);
      });
      const late = await place.run('restore', '--to-revision=9', `--data-dir=${join(folder, 'late')}`);
      expect(late).toMatchObject({ code: 1 });
      expect(late.stderr).toContain('ends with revision 8 at ');
      const early = await place.run(
        'restore',
        '--to-time=2020-01-01T00:00:00Z',
        `--data-dir=${join(folder, 'early')}`,
      );
      expect(early.stderr).toContain('there is no good backup before it');
      expect(await place.ok('verify')).toContain('the end of the log');

      const [first = '', second = ''] = segments();
      expect(segments().length).toBeGreaterThan(2);
      const path = join(folder, 'log', second);
      copyFileSync(path, `${path}.copy`);
      const bytes = readFileSync(path);
      const middle = bytes.length >> 1;
      bytes[middle] = (bytes[middle] ?? 0) ^ 1;
      writeFileSync(path, bytes);
      const damaged = await place.run('verify');
      expect(damaged.code).toBe(1);
      expect(damaged.stdout).toContain(`FAULT: the segment ${second} is damaged`);
      rmSync(path);
      const gone = await place.run('verify');
      expect(gone.code).toBe(1);
      expect(gone.stdout).toMatch(
        new RegExp(`FAULT: the entries \\d+ to \\d+ are missing, between the segments ${first}`),
      );
      expect((await listLogs(place))[0]?.fault).toMatch(/the entries \d+ to \d+ are missing/);
      renameSync(`${path}.copy`, path);
      const other = new BackupCommand([`--url=${folder}`, `--key-file=${wrong}`]);
      const unreadable = await other.run('verify');
      expect(unreadable).toMatchObject({ code: 1 });
      expect(unreadable.stdout).toContain('but the key file has the key');
      expect(await place.ok('verify')).toContain('the end of the log');
    } finally {
      await member.destroy();
      rmSync(folder, { recursive: true });
    }
  });

  it('names a gap when changes could not be stored, and takes a backup at once', async () => {
    const folder = tempDir('backups');
    const place = new BackupCommand([`--url=${folder}`]);
    const flags = [
      ...[`--keystead-backup-url=${folder}`, '--keystead-backup-interval=1h'],
      ...['--keystead-backup-log-interval=200ms', '--keystead-backup-log-max-bytes=200000'],
    ];
    const member = await Member.start({ kind: 'keystead', flags });
    const ctl = new Etcdctl(member.endpoint);
    const log = join(folder, 'log');
    try {
      await eventually('a backup', async () => (await listBackups(place))[0]?.state === 'verified', patience);
      await ctl.ok(['put', 'a', 'one']);
      await stored(place, 2);
      // A file in place of the folder: nothing can be written.
      renameSync(log, `${log}-away`);
      writeFileSync(log, '');
      for (let n = 0; n < 5; n += 1)
        await ctl.ok(['put', `large/${n}`], { input: randomBytes(100_000).toString('base64') });
      await eventually(
        'a write that failed',
        async () => (await metricOf(member, 'keystead_backup_log_failures_total')) > 0,
        patience,
      );
      rmSync(log);
      renameSync(`${log}-away`, log);
      await eventually(
        'a second backup',
        async () => (await listBackups(place)).filter(({ state }) => state === 'verified').length >= 2,
        patience,
      );
      await ctl.ok(['put', 'a', 'two']);
      await stored(place, 8);
      const live = await hashOf(member);
      const said = await place.ok('verify');
      expect(said).toMatch(/gap before it: the entries from \d+ to \d+ were not stored in time/);
      const { stderr } = await place.run('restore', '--to-revision=4', `--data-dir=${join(folder, 'none')}`);
      // One of the large values may have been on its way to the log when nothing could be written any more.
      expect(stderr).toMatch(/ends with revision [23] at /);
      await withRestored(place, ['--to-revision=8', '--bump-revision=0'], async (restored) => {
        expect(await hashOf(restored)).toEqual(live);
      });
      // The memory is too small for two of the values, so that one outage can make more gaps.
      expect(await metricOf(member, 'keystead_backup_log_gaps_total')).toBeGreaterThan(0);
    } finally {
      await member.destroy();
      rmSync(folder, { recursive: true });
    }
  });
});
