import { describe, expect, it } from 'vitest';
import type { StatusReport } from '../report.ts';
import { AT_MS, exampleReport } from '../testing/example-report.ts';
import { pageView, type Row } from './page-view.ts';

const texts = (rows: readonly Row[]): string[][] => rows.map((row) => row.map(({ text }) => text));
const titles = (more: Partial<StatusReport>): string[] =>
  pageView(exampleReport(more)).findings.map(({ level, title }) => `${level}: ${title}`);

/** The members of the example, the second one changed. */
function membersWith(more: Partial<StatusReport['members'][number]>): StatusReport['members'] {
  return exampleReport().members.map((each) => (each.id === '2' ? { ...each, ...more } : each));
}

describe('the view of a healthy cluster', () => {
  const view = pageView(exampleReport());

  it('says so', () => {
    expect([view.title, view.headline, view.tone]).toEqual(['m1 – Keystead', 'All is well', 'good']);
  });

  it('has members with units', () => {
    expect(texts(view.members.rows)[1]).toEqual([
      ...['m2', 'Follower', 'Connected', '0.50 ms', '0', '0', '7', '1,000', '1.0 GiB', '0.1.0', '1 h 1 min'],
    ]);
    expect(view.members.rows[1]?.[0]?.notes).toEqual(['2', 'https://10.0.0.2:2379']);
    expect(texts(view.members.rows)[0]?.slice(0, 4)).toEqual(['m1', 'Leader', 'This member', '–']);
  });

  it('has a summary with the share of the quota', () => {
    const found = Object.fromEntries(view.summary.map(({ label, ...rest }) => [label, rest]));
    expect(found).toMatchObject({
      Leader: { text: 'm1', notes: ['this member, term 7'] },
      Voters: { text: '3 of 3', tone: 'good' },
      Store: { text: '1.0 GiB', share: 0.5, notes: ['50 % of 2.0 GiB'] },
      Keys: { text: '12,345', notes: ['42 watches here'] },
      Revision: { text: '1,000', notes: ['revisions/s: measuring'] },
      'Event loop': { text: '2.3 ms' },
    });
  });

  it('has slow requests with their age and time', () => {
    expect(texts(view.slowRequests.rows)).toEqual([
      ['1.2 s', 'KV/Range', '1 min ago', '/registry/pods/'],
      ['57 ms', 'Lease/LeaseGrant', '5 s ago', '–'],
    ]);
    expect(view.slowRequests.rows[0]?.[2]).toMatchObject({
      notes: ['09:28:30 UTC'],
      time: '2026-11-22T09:28:30.000Z',
    });
  });

  it('has backups with their age and their last proof', () => {
    const found = Object.fromEntries(view.backup.facts.map(({ label, text }) => [label, text]));
    expect(found).toMatchObject({
      'Last good backup': '10 min ago',
      'Last proven': '9 min ago',
      Every: '1 h',
    });
  });
});

describe('rates', () => {
  const later = exampleReport({
    atMs: AT_MS + 5000,
    space: { ...exampleReport().space, revision: 1100 },
    usage: {
      isComplete: true,
      prefixes: [
        { prefix: '/registry/pods', keys: 10, bytes: 2048, historyBytes: 0, writes: 504, watchers: 3 },
        { prefix: '/registry/new', keys: 1, bytes: 1, historyBytes: 0, writes: 1, watchers: 0 },
      ],
      rest: { count: 3, prefix: '', keys: 1, bytes: 1, historyBytes: 0, writes: 9, watchers: 0 },
    },
  });

  it('are those between two reports', () => {
    const view = pageView(later, exampleReport());
    expect(view.summary.find(({ label }) => label === 'Revision')?.notes).toEqual(['20/s written']);
    expect(texts(view.prefixes.rows).map((row) => [row[0], row[4]])).toEqual([
      ['/registry/pods', '0.8/s'],
      ['/registry/new', '–'],
      ['3 more', '–'],
    ]);
  });

  it('are unknown after a restart and for another member', () => {
    const before = exampleReport();
    for (const self of [
      { ...before.self, uptimeSeconds: 9000 },
      { ...before.self, id: '2' },
    ])
      expect(texts(pageView(later, { ...before, self }).prefixes.rows)[0]?.[4]).toBe('–');
  });
});

describe('findings', () => {
  it.each<[string, Partial<StatusReport>, string[]]>([
    ['no leader', { leader: null }, ['problem: No leader']],
    ['an alarm', { alarms: [{ memberId: '2', alarm: 'NOSPACE' }] }, ['problem: Alarm NOSPACE of m2']],
    [
      'a member that is down',
      { members: membersWith({ state: 'unreachable', own: null, lag: 9000 }) },
      ['problem: Member m2 is unreachable'],
    ],
    [
      'a silent member',
      { members: membersWith({ state: 'silent', own: null }) },
      ['warning: Member m2 does not answer'],
    ],
    [
      'a new member',
      { members: membersWith({ state: 'unstarted', name: '', own: null, lag: null }) },
      ['warning: Member 2 was never started'],
    ],
    ['a member that lags', { members: membersWith({ lag: 6000 }) }, ['warning: Member m2 lags']],
    [
      'two versions',
      { members: membersWith({ own: { ...exampleReport().members[1]!.own!, version: '0.2.0' } }) },
      ['warning: Versions differ'],
    ],
    [
      'much of the quota',
      { space: { ...exampleReport().space, quotaBytes: 2 ** 30 * 1.2 } },
      ['warning: The quota is nearly used up'],
    ],
    [
      'the quota',
      { space: { ...exampleReport().space, quotaBytes: 2 ** 30 } },
      ['problem: The quota is nearly used up'],
    ],
    [
      'a full disk',
      { space: { ...exampleReport().space, disk: { freeBytes: 2 ** 30, totalBytes: 2 ** 35 } } },
      ['warning: The disk is nearly full'],
    ],
    [
      'a late backup',
      { backup: { ...exampleReport().backup!, lastSuccessMs: AT_MS - 3 * 3_600_000 } },
      ['problem: Backups are late'],
    ],
    [
      'no backup',
      { backup: { ...exampleReport().backup!, lastSuccessMs: 0 } },
      ['warning: There is no good backup yet'],
    ],
    [
      'backups that are unknown without the leader',
      { backup: { ...exampleReport().backup!, lastSuccessMs: 0, isLeader: false } },
      [],
    ],
    [
      'a delayed event loop',
      {
        eventLoop: { ...exampleReport().eventLoop, recent: { seconds: 40, p50Ms: 1, p99Ms: 80, maxMs: 90 } },
      },
      ['warning: The event loop is delayed'],
    ],
  ])('%s', (_, more, expected) => expect(titles(more)).toEqual(expected));

  it('problems come first, and the headline has no figures', () => {
    const view = pageView(
      exampleReport({
        leader: null,
        members: membersWith({ lag: 6000 }),
        alarms: [
          { memberId: '1', alarm: 'CORRUPT' },
          { memberId: 'ff', alarm: 'alarm 9' },
        ],
      }),
    );
    expect(view.headline).toBe('No leader. Alarm CORRUPT of m1. Alarm alarm 9 of ff. 1 more');
    expect([view.tone, view.title]).toEqual(['problem', '(4) m1 – Keystead']);
    expect(view.findings.at(-1)?.level).toBe('warning');
  });
});

it('what is off says how to turn it on', () => {
  const view = pageView(exampleReport({ usage: null, backup: null, slowRequests: [] }));
  expect(view.prefixes).toMatchObject({ rows: [] });
  expect(view.prefixes.empty).toContain('--keystead-usage-prefixes');
  expect(view.backup.facts).toEqual([]);
  expect(view.backup.empty).toContain('--keystead-backup-url');
  expect(view.slowRequests.rows).toEqual([]);
});

it('counts that are not known yet are not shown as zeros', () => {
  const { usage } = exampleReport();
  const view = pageView(exampleReport({ usage: { ...usage!, isComplete: false } }));
  expect(texts(view.prefixes.rows)[0]).toEqual([
    ...['/registry/pods', 'counting', 'counting', 'counting', '–', '3'],
  ]);
});
