import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member } from '../harness/member.ts';
import { metricOf } from '../harness/metrics.ts';
import { missingPeers } from '../harness/paths.ts';
import { tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';
import { TestCluster } from '../clusters/test-cluster.ts';
import { BackupCommand, listBackups } from './backup-command.ts';
import { S3Server } from './s3-server.ts';

const missing = missingPeers('etcdctl', 'versitygw');

describe.skipIf(missing !== undefined)(`scheduled backups ${missing ?? ''}`, () => {
  it('go on under load when members are killed, the leader changes, and S3 is away', async () => {
    const folder = tempDir('backups');
    const keyFile = join(folder, 'key');
    writeFileSync(keyFile, randomBytes(32).toString('hex'));
    const s3 = await S3Server.start();
    const url = `s3://${s3.bucket}/prod?endpoint=${s3.endpoint}`;
    const flags = [
      `--keystead-backup-url=${url}`,
      '--keystead-backup-interval=1s',
      `--keystead-backup-key-file=${keyFile}`,
      '--keystead-backup-keep-last=30',
    ];
    const cluster = await TestCluster.create(
      ['keystead', 'keystead', 'keystead'],
      flags,
      () => s3.environment,
    );
    const place = new BackupCommand([`--url=${url}`, `--key-file=${keyFile}`], s3.environment);
    let isWriting = true;
    let written = 0;
    const writing = (async () => {
      for (; isWriting; written += 1)
        await cluster.ctl().run(['put', `key/${written % 300}`, randomBytes(2000).toString('hex')]);
    })();
    /** The number of verified backups. */
    const verified = async (): Promise<number> =>
      (await listBackups(place)).filter(({ state }) => state === 'verified').length;
    const more = async (): Promise<void> => {
      const before = await verified();
      await eventually('another verified backup', async () => (await verified()) > before, {
        timeoutMs: 60_000,
        everyMs: 300,
      });
    };
    try {
      await more();
      const first = await cluster.leader();
      await first.kill();
      await more();
      await first.start();
      const second = await cluster.leader();
      await cluster.moveLeader(cluster.members.find((member) => member !== second) ?? second);
      await more();
      await s3.stop();
      const leader = await cluster.leader();
      await eventually(
        'a failure in the metrics',
        async () => (await metricOf(leader, 'keystead_backup_failures_total')) > 0,
        { timeoutMs: 60_000 },
      );
      await s3.start();
      await more();
      isWriting = false;
      await writing;

      const backups = await listBackups(place);
      const newest = backups.findLast(({ state }) => state === 'verified');
      const sizes = await Promise.all(
        cluster.members.map((member) => metricOf(member, 'keystead_backup_last_success_timestamp_seconds')),
      );
      expect(Math.max(...sizes) * 1000).toBeGreaterThanOrEqual(Date.parse(newest?.time ?? '') - 60_000);
      // A member that is killed while it verifies leaves a backup that is not marked as verified, but good.
      for (const { id } of backups.slice(-8))
        expect(await place.ok('verify', id)).toContain('good: restored');
      const dataDir = join(folder, 'restored');
      expect(await place.ok('restore', `--data-dir=${dataDir}`)).toContain('restored backup');
    } finally {
      isWriting = false;
      await writing;
      await cluster.destroy();
      await s3.destroy();
      rmSync(folder, { recursive: true });
    }
  });

  it('are taken by one member only, and again after a restart only when they are due', async () => {
    const folder = tempDir('backups');
    const flags = [`--keystead-backup-url=${folder}`, '--keystead-backup-interval=1h'];
    const cluster = await TestCluster.create(['keystead', 'keystead', 'keystead'], flags);
    const place = new BackupCommand([`--url=${folder}`]);
    try {
      await new Etcdctl(cluster.members[0]?.endpoint ?? '').ok(['put', 'a', 'b']);
      await eventually('a backup', async () => (await listBackups(place))[0]?.state === 'verified', {
        timeoutMs: 60_000,
      });
      const leader = await cluster.leader();
      await leader.restart();
      const next = await cluster.leader();
      await eventually(
        'the new leader knows of the backup',
        async () => (await metricOf(next, 'keystead_backup_last_size_bytes')) > 0,
        { timeoutMs: 60_000 },
      );
      expect(await listBackups(place)).toHaveLength(1);
      expect(await metricOf(next, 'keystead_backup_interval_seconds')).toBe(3600);
    } finally {
      await cluster.destroy();
      rmSync(folder, { recursive: true });
    }
  });

  it('are refused at the start with a wrong URL or key', async () => {
    for (const [flags, message] of [
      [
        ['--keystead-backup-url=ftp://x', '--keystead-backup-interval=1h'],
        'backups cannot be stored at ftp://',
      ],
      [
        ['--keystead-backup-url=x', '--keystead-backup-interval=1h', '--keystead-backup-key-file=/none'],
        'ENOENT',
      ],
      [['--keystead-backup-url=x'], 'must be given together'],
      [['--keystead-backup-interval=1h'], 'must be given together'],
      [['--keystead-backup-url=x', '--keystead-backup-interval=1ms'], 'at least one second'],
    ] as const) {
      const started = Member.start({ kind: 'keystead', flags });
      await expect(started).rejects.toThrow(message);
      // No client saw it.
      await expect(started).rejects.not.toThrow('serving client traffic');
    }
  });
});
