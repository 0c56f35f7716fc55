import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../clusters/test-cluster.ts';
import { diskFaultsMissing, diskPaths, FaultyDisk } from '../harness/disk-faults.ts';
import { Member, type MemberOptions } from '../harness/member.ts';
import { metricOf } from '../harness/metrics.ts';
import { missingPeers } from '../harness/paths.ts';
import { tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Prometheus, shortened } from './prometheus.ts';

it('only durations of the rules are shortened for these tests', () => {
  const text = `groups:
  - name: a
    rules:
      - { alert: x, expr: 'increase(a{job="k5m"}[15m]) > 5 * 60', for: 1h, labels: { severity: warning } }
      - { alert: y, expr: 'a > 1', labels: { severity: warning } }
`;
  expect(shortened(text).groups).toEqual([
    {
      name: 'a',
      interval: '500ms',
      rules: [
        {
          alert: 'x',
          expr: 'increase(a{job="k5m"}[30000ms]) > 5 * 60',
          for: '120000ms',
          labels: { severity: 'warning' },
        },
        { alert: 'y', expr: 'a > 1', labels: { severity: 'warning' } },
      ],
    },
  ]);
});

/** The alerts of the faults below. Others may fire because the machine that runs the test is busy. */
const FAULT_ALERTS = [
  'etcdMembersDown warning',
  'etcdInsufficientMembers critical',
  'etcdNoLeader critical',
  'etcdDatabaseQuotaLowSpace warning',
  'etcdDatabaseQuotaLowSpace critical',
  'etcdHighFsyncDurations warning',
  'KeysteadBackupLate critical',
  'KeysteadBackupFails warning',
];

const QUOTA_BYTES = 20_000_000;

const missing = missingPeers('prometheus', 'etcdctl');
describe.skipIf(missing !== undefined)(`alerts in real faults ${missing ?? ''}`, () => {
  const stops: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });

  async function watched(members: readonly Member[]): Promise<Prometheus> {
    const prometheus = await Prometheus.start(members.map(({ endpoint }) => endpoint));
    stops.push(() => prometheus.stop());
    await prometheus.settled();
    expect(prometheus.seen.filter((alert) => FAULT_ALERTS.includes(alert))).toEqual([]);
    return prometheus;
  }

  async function cluster(size: number): Promise<TestCluster> {
    const started = await TestCluster.create(Array.from({ length: size }, () => 'keystead' as const));
    stops.push(() => started.destroy());
    await started.leader();
    return started;
  }

  async function single(options: Partial<MemberOptions>): Promise<Member> {
    const member = await Member.start({ kind: 'keystead', ...options });
    stops.push(() => member.destroy());
    return member;
  }

  /** Runs work again and again until the test ends or it is stopped. */
  function load(work: () => Promise<unknown>): void {
    let isOver = false;
    const done = (async () => {
      while (!isOver) await work().catch(() => undefined);
    })();
    stops.push(() => {
      isOver = true;
      return done;
    });
  }

  /** The alert was not active before the fault; it was pending before it fired. */
  function expectAfter(prometheus: Prometheus, alert: string, faultMs: number): void {
    const { pending = 0, firing = 0 } = prometheus.timesOf(alert);
    expect(firing, `${alert} fires`).toBeGreaterThan(faultMs);
    expect(pending, `${alert} is pending before it fires`).toBeGreaterThan(faultMs);
    expect(pending).toBeLessThanOrEqual(firing);
  }

  it('a member that is down', async () => {
    const { members } = await cluster(3);
    const prometheus = await watched(members);
    const faultMs = Date.now();
    await members[0]?.kill();
    await prometheus.fires('etcdMembersDown warning');
    expectAfter(prometheus, 'etcdMembersDown warning', faultMs);
    expect(prometheus.seen).not.toContain('etcdInsufficientMembers critical');
    expect(prometheus.seen).not.toContain('etcdNoLeader critical');
    await members[0]?.start();
    await prometheus.ends('etcdMembersDown warning');
  });

  it('no leader, because a majority is gone', async () => {
    const { members } = await cluster(3);
    const prometheus = await watched(members);
    const faultMs = Date.now();
    await Promise.all(members.slice(1).map((member) => member.kill()));
    await prometheus.fires('etcdNoLeader critical');
    await prometheus.fires('etcdInsufficientMembers critical');
    expectAfter(prometheus, 'etcdNoLeader critical', faultMs);
    expectAfter(prometheus, 'etcdInsufficientMembers critical', faultMs);
    await members[1]?.start();
    await prometheus.ends('etcdNoLeader critical');
    await prometheus.ends('etcdInsufficientMembers critical');
  });

  it('a quota that is nearly used up', async () => {
    const member = await single({ flags: [`--quota-backend-bytes=${QUOTA_BYTES}`] });
    const ctl = new Etcdctl(member.endpoint);
    const prometheus = await watched([member]);
    const value = 'x'.repeat(100_000);
    const used = async (): Promise<number> =>
      (await metricOf(member, 'etcd_mvcc_db_total_size_in_bytes')) / QUOTA_BYTES;
    const fill = async (share: number): Promise<void> => {
      let at = 0;
      while ((await used()) < share) {
        const keys = Array.from({ length: 5 }, () => `fill/${share}/${at++}`);
        await Promise.all(keys.map((key) => ctl.run(['put', key], { input: value })));
      }
    };
    await fill(0.5);
    await prometheus.settled();
    expect(prometheus.seen).not.toContain('etcdDatabaseQuotaLowSpace warning');
    const warningMs = Date.now();
    await fill(0.82);
    await prometheus.fires('etcdDatabaseQuotaLowSpace warning');
    expectAfter(prometheus, 'etcdDatabaseQuotaLowSpace warning', warningMs);
    expect(prometheus.seen).not.toContain('etcdDatabaseQuotaLowSpace critical');
    const criticalMs = Date.now();
    await fill(0.96);
    await prometheus.fires('etcdDatabaseQuotaLowSpace critical');
    expectAfter(prometheus, 'etcdDatabaseQuotaLowSpace critical', criticalMs);
  });

  it.skipIf(diskFaultsMissing !== undefined)(`a slow disk ${diskFaultsMissing ?? ''}`, async () => {
    const disk = new FaultyDisk();
    const member = await single({ env: disk.env });
    const ctl = new Etcdctl(member.endpoint);
    load(() => ctl.run(['put', 'key', 'value']));
    const prometheus = await watched([member]);
    const slow = 'etcdHighFsyncDurations warning';
    const faultMs = Date.now();
    // The log is open with O_DSYNC, so a write is also a sync.
    disk.set({ calls: ['write', 'sync'], path: diskPaths.log, delayMs: 700 });
    await prometheus.fires(slow);
    expectAfter(prometheus, slow, faultMs);
    disk.heal();
    await prometheus.ends(slow);
  });

  it('a backup that is late', async () => {
    const place = join(tempDir('backups'), 'place');
    const member = await single({
      flags: [`--keystead-backup-url=${place}`, '--keystead-backup-interval=5s'],
    });
    const prometheus = await watched([member]);
    await eventually('two backups', async () => {
      const [last = 0] = await prometheus.query('keystead_backup_last_success_timestamp_seconds');
      return last > Date.now() / 1000 - 10;
    });
    const late = 'KeysteadBackupLate critical';
    expect(prometheus.seen).not.toContain(late);
    const faultMs = Date.now();
    renameSync(place, `${place}.away`);
    writeFileSync(place, 'no folder');
    await prometheus.fires(late);
    expectAfter(prometheus, late, faultMs);
    expect(prometheus.seen).toContain('KeysteadBackupFails warning');
  });
});
