import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../config/load.ts';
import { Member, StatusResponse } from '../../wire/gen/etcdserverpb.ts';
import { type MetricSample, parseMetrics } from '../client/read-metrics.ts';
import { judgeEnd } from './certificates.ts';
import { judgeCluster } from './cluster.ts';
import type { Diagnosis } from './diagnosis.ts';
import { judgeSyncs, measureSyncs } from './disk.ts';
import { judgeFlags, type MemberFlags } from './flags.ts';
import { judgeClocks, judgeMetrics, type MemberMetrics } from './member-metrics.ts';

const bad = (findings: readonly Diagnosis[]): string[] =>
  findings
    .filter(({ level }) => level !== 'ok')
    .map(({ level, subject, message }) => `${level} ${subject}: ${message}`);

describe('the disk', () => {
  const level = (times: readonly number[] | string): string => judgeSyncs('disk', times).level;
  const with99 = (ms: number): number[] => [...Array.from({ length: 97 }, () => 1), ms, ms, ms];

  it('is judged by the median and the 99th percentile', () => {
    expect(level(with99(9))).toBe('ok');
    expect(level(with99(11))).toBe('warning');
    expect(level(with99(900))).toBe('warning');
    expect(level(with99(1100))).toBe('problem');
    expect(level(Array.from({ length: 5 }, () => 150))).toBe('problem');
    expect(level([])).toBe('problem');
    expect(judgeSyncs('disk', 'cannot be tested: EACCES').message).toBe('cannot be tested: EACCES');
  });

  it('is tested by a file that is removed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'doctor-'));
    const times = await measureSyncs(folder);
    expect(times.length).toBeGreaterThan(0);
    expect(typeof times).toBe('object');
    expect(readdirSync(folder)).toEqual([]);
    rmSync(folder, { recursive: true });
    expect(await measureSyncs(folder)).toContain('cannot be tested: ENOENT');
  });
});

describe('flags', () => {
  const flagsOf = async (subject: string, ...args: string[]): Promise<MemberFlags> => {
    const loaded = await loadConfig({ args, environment: {} });
    return { subject, args, config: loaded.kind === 'ready' ? loaded.config : 'wrong' };
  };

  it('of a usual member are well, and passwords are not shown', async () => {
    const findings = judgeFlags([
      await flagsOf('a', '--name=a', '--discovery-password=secret', '--discovery-password', 'secret'),
    ]);
    expect(findings.map(({ level, message }) => [level, message])).toEqual([
      ['ok', '--name=a --discovery-password=*** --discovery-password ***'],
    ]);
    expect(judgeFlags([await flagsOf('a')])[0]?.message).toBe('all defaults');
  });

  it.each([
    ['--unsafe-no-fsync', 'problem'],
    ['--force-new-cluster', 'problem'],
    ['--pre-vote=false', 'warning'],
    ['--quota-backend-bytes=-1', 'warning'],
    ['--quota-backend-bytes=9000000000', 'warning'],
    ['--max-request-bytes=20000000', 'warning'],
    ['--enable-pprof', 'warning'],
    ['--log-level=debug', 'warning'],
    ['--listen-peer-urls=http://10.0.0.1:2380', 'warning'],
  ])('%s is a %s', async (flag, level) => {
    const findings = judgeFlags([await flagsOf('a', flag)]);
    expect(findings.map((finding) => finding.level)).toEqual([level]);
    expect(findings[0]?.message).toContain(flag.replace(/=.*/, ''));
    expect(findings[0]?.hint).not.toBe('');
  });

  it('that differ between members are named, and unknown ones too', async () => {
    const members = [
      await flagsOf('a'),
      await flagsOf('b', '--election-timeout=3000'),
      await flagsOf('c', '--x'),
    ];
    expect(bad(judgeFlags(members))).toEqual([
      'warning flags of c: cannot be read: wrong',
      'warning flags: --election-timeout differs between the members: 1000 on a, 3000 on b',
    ]);
  });
});

const metricsAt = (serverMs: number | undefined, samples: readonly MetricSample[] = []): MemberMetrics => ({
  subject: 'a',
  answer: { samples, serverMs },
  askedMs: 100_000,
  answeredMs: 100_100,
});

describe('metrics', () => {
  const roundTrips = (seconds: number): readonly MetricSample[] =>
    parseMetrics(
      `etcd_network_peer_round_trip_time_seconds_sum{To="b1"} ${2 * seconds}\n` +
        'etcd_network_peer_round_trip_time_seconds_count{To="b1"} 2\n',
    );
  const judge = (samples: readonly MetricSample[]): Diagnosis[] =>
    judgeMetrics(metricsAt(0, samples), { heartbeatMs: 100, electionMs: 1000 }, (id) => `member ${id}`);

  it.each([
    [0.05, 'ok'],
    [0.2, 'warning'],
    [0.6, 'problem'],
  ])('a round trip of %d s is %s', (seconds, level) => {
    const [finding] = judge(roundTrips(seconds));
    expect(finding).toMatchObject({ level, subject: 'latency from a to member b1' });
  });

  it('name slow syncs, a busy event loop and too few files', () => {
    const samples = parseMetrics(`
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.016"} 90
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.032"} 99
etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 100
etcd_disk_wal_fsync_duration_seconds_count 100
keystead_event_loop_delay_seconds{quantile="0.5"} 0.001
keystead_event_loop_delay_seconds{quantile="0.99"} 0.08
process_open_fds 900
process_max_fds 1000
`);
    expect(bad(judge(samples))).toEqual([
      'warning syncs of the log of a: 99th percentile since the start at most 32 ms',
      'warning event loop of a: delayed by 80 ms (99th percentile)',
      'warning open files of a: 900 of 1000',
    ]);
  });

  it('of etcd, and of a member that has just started, say what is not known', () => {
    const all = judge(parseMetrics('etcd_network_known_peers{Local="a",Remote="b1"} 1\n'));
    expect(all.map(({ level, subject, message }) => `${level} ${subject}: ${message}`)).toEqual([
      'ok latency from a: not measured yet; members measure it every few seconds',
      'ok event loop of a: unknown, because only Keystead measures it',
    ]);
  });

  it('that cannot be read are a warning', () => {
    const [finding] = judgeMetrics(
      { ...metricsAt(0), answer: 'no connection' },
      { heartbeatMs: 100, electionMs: 1000 },
      (id) => id,
    );
    expect(finding).toMatchObject({ level: 'warning', subject: 'metrics of a' });
  });
});

describe('clocks', () => {
  const other = { ...metricsAt(99_000), subject: 'b' };

  it.each([
    [99_000, []],
    [98_000, []],
    [106_000, ['warning clocks: the clock of a is at least 4.9 s ahead of that of b']],
    [93_000, ['warning clocks: the clock of b is at least 3.9 s ahead of that of a']],
    [160_000, ['problem clocks: the clock of a is at least 58.9 s ahead of that of b']],
    [undefined, []],
  ])('with one at %s', (serverMs, expected) => {
    expect(bad(judgeClocks([metricsAt(serverMs), other]))).toEqual(expected);
  });

  it('that agree with each other and not with this machine', () => {
    expect(bad(judgeClocks([metricsAt(90_000)]))).toEqual([
      'warning clocks: the clocks of the members and of this machine differ by at least 8.0 s',
    ]);
    expect(judgeClocks([])).toEqual([]);
  });
});

describe('the cluster', () => {
  const member = (id: bigint, more: Partial<Member> = {}): Member =>
    Member.create({ id, name: `m${id}`, clientUrls: ['http://a'], ...more });
  const status = (more: Partial<StatusResponse> = {}): StatusResponse =>
    StatusResponse.create({ version: '3.7.1', leader: 1n, dbSize: 10, dbSizeQuota: 100, ...more });

  it('without a fault is well', () => {
    const members = [1n, 2n, 3n].map((id) => ({ member: member(id), status: status() }));
    expect(bad(judgeCluster({ members, alarms: [] }))).toEqual([]);
  });

  it('with faults has a finding for each', () => {
    const members = [
      { member: member(1n), status: status({ dbSize: 80 }) },
      { member: member(2n), status: status({ dbSize: 96, version: '3.6.0', leader: 2n, raftIndex: 9000 }) },
      { member: member(3n), status: 'no connection' },
      { member: member(4n, { name: '', clientUrls: [] }), status: undefined },
      { member: member(5n, { isLearner: true }), status: status({ raftAppliedIndex: 9000 }) },
    ];
    const findings = judgeCluster({ members, alarms: ['CORRUPT on member 2'], unconfirmed: 'timeout' });
    expect(bad(findings)).toEqual([
      'problem cluster: cannot confirm its members, so it has no majority or no leader: timeout',
      'problem member m3 (3): does not answer: no connection',
      'problem member 4: was added but never started',
      'warning leader: the members disagree: 1, 2',
      'warning member m5 (5): is a learner',
      'warning members: 4 voters tolerate no more failures than 3',
      'problem alarms: CORRUPT on member 2',
      'warning quota of member m1 (1): 80.0 % of 100 bytes are used',
      'problem quota of member m2 (2): 96.0 % of 100 bytes are used',
      'warning versions: the members differ: 3.6.0, 3.7.1',
    ]);
    expect(findings.filter(({ level, hint }) => level !== 'ok' && hint === undefined)).toEqual([]);
  });

  it('without a leader, or with a member behind', () => {
    const leaderless = [{ member: member(1n), status: status({ leader: 0n }) }];
    expect(bad(judgeCluster({ members: leaderless, alarms: 'permission denied' }))).toEqual([
      'problem leader: member m1 (1) has none',
      'problem alarms: cannot be read: permission denied',
    ]);
    const late = [1n, 2n, 3n].map((id) => ({
      member: member(id),
      status: status({ raftIndex: 9000, raftAppliedIndex: id === 2n ? 100 : 9000 }),
    }));
    expect(bad(judgeCluster({ members: late, alarms: [] }))).toEqual([
      'warning member m2 (2): is 8900 entries behind',
    ]);
  });
});

it.each([
  [-1, 'problem', 'has ended on'],
  [3, 'problem', 'ends in 3 days'],
  [20, 'warning', 'ends in 20 days'],
  [100, 'ok', 'ends in 100 days'],
])('a certificate that ends in %i days is a %s', (days, level, text) => {
  const now = Date.UTC(2026, 0, 1);
  const finding = judgeEnd('certificate', new Date(now + days * 86_400_000), now);
  expect(finding.level).toBe(level);
  expect(finding.message).toContain(text);
});
