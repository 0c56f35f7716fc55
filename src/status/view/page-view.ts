import type { MemberReport, MemberState, PrefixReport, StatusReport } from '../report.ts';
import { type Finding, findingsOf, memberName } from './findings.ts';
import {
  ageText,
  bytesText,
  countText,
  durationText,
  millisecondsText,
  percentText,
  rateText,
  timeText,
  UNKNOWN,
} from './units.ts';

/** `good`, `warning` and `problem` are marked by colour beside their text. */
export type Tone = 'plain' | 'muted' | 'good' | 'warning' | 'problem';

/** One value. All texts are shown as text, whatever they contain. */
export interface Cell {
  readonly text: string;
  readonly tone?: Tone;
  /** Smaller texts below it. */
  readonly notes?: readonly string[];
  /** A time in the format of `<time datetime>`. */
  readonly time?: string;
}

/** A term with its value. */
export interface Fact extends Cell {
  readonly label: string;
  /** A bar, from 0 to 1. */
  readonly share?: number;
}

export type Row = readonly Cell[];

/** A table, or the reason why there is none. */
export interface TableView {
  readonly rows: readonly Row[];
  readonly empty: string;
}

/** All texts of the page. */
export interface PageView {
  readonly title: string;
  readonly name: string;
  readonly identity: readonly Fact[];
  /**
   * Read out when it changes. It has no figures, so that it does not change all the time. Where there are findings, they
   * are seen instead.
   */
  readonly headline: string;
  readonly tone: 'good' | 'warning' | 'problem';
  readonly findings: readonly Finding[];
  readonly summary: readonly Fact[];
  readonly members: TableView;
  readonly space: readonly Fact[];
  readonly raft: readonly Fact[];
  readonly eventLoop: TableView;
  readonly backup: { readonly facts: readonly Fact[]; readonly empty: string };
  readonly slowRequests: TableView;
  readonly prefixes: TableView;
}

const MAX_TITLES = 3;
const NOT_SINCE_START = 'none since the start';

/** @param before an earlier report, for rates; undefined for the first one */
export function pageView(report: StatusReport, before?: StatusReport): PageView {
  const { self } = report;
  const findings = findingsOf(report);
  const tone = findings[0]?.level ?? 'good';
  const mark = findings.length === 0 ? '' : `(${findings.length}) `;
  return {
    title: `${mark}${self.name} – Keystead`,
    name: self.name,
    identity: [
      { label: 'Member', text: self.id },
      { label: 'Cluster', text: self.clusterId },
      { label: 'Keystead', text: self.version },
      { label: 'as etcd', text: self.etcdVersion },
      { label: 'Cluster version', text: self.clusterVersion ?? 'not decided' },
      { label: 'Up', text: durationText(self.uptimeSeconds) },
    ],
    headline: headline(findings),
    tone,
    findings,
    summary: summary(report, before),
    members: { rows: report.members.map((each) => memberRow(report, each)), empty: 'There are no members.' },
    space: space(report),
    raft: raft(report),
    eventLoop: eventLoop(report),
    backup: { facts: backup(report), empty: 'Backups are off. They are taken with --keystead-backup-url.' },
    slowRequests: slowRequests(report),
    prefixes: prefixes(report, before),
  };
}

function headline(findings: readonly Finding[]): string {
  if (findings.length === 0) return 'All is well';
  const titles = findings.slice(0, MAX_TITLES).map(({ title }) => title);
  const more = findings.length - titles.length;
  return `${titles.join('. ')}${more === 0 ? '' : `. ${more} more`}`;
}

/** The seconds between two reports of the same process; undefined if there was none. */
function secondsSince(before: StatusReport | undefined, report: StatusReport): number | undefined {
  if (before === undefined || before.self.id !== report.self.id) return undefined;
  const seconds = (report.atMs - before.atMs) / 1000;
  return seconds > 0 && report.self.uptimeSeconds >= before.self.uptimeSeconds ? seconds : undefined;
}

function summary(report: StatusReport, before: StatusReport | undefined): Fact[] {
  const {
    space: now,
    members,
    raft: { term },
  } = report;
  const voters = members.filter(({ isLearner }) => !isLearner);
  const reachable = voters.filter(({ state }) => state === 'self' || state === 'connected').length;
  const isMajority = reachable > voters.length / 2;
  const seconds = secondsSince(before, report);
  const rate =
    seconds === undefined || before === undefined
      ? undefined
      : Math.max(0, now.revision - before.space.revision) / seconds;
  return [
    report.leader === null
      ? { label: 'Leader', text: 'none', tone: 'problem', notes: [`term ${countText(term)}`] }
      : {
          label: 'Leader',
          text: memberName(report, report.leader),
          notes: [`${report.leader === report.self.id ? 'this member, ' : ''}term ${countText(term)}`],
        },
    {
      label: 'Voters',
      text: `${reachable} of ${voters.length}`,
      tone: reachable === voters.length ? 'good' : isMajority ? 'warning' : 'problem',
      notes: [isMajority ? 'reachable' : 'reachable, no majority'],
    },
    {
      label: 'Store',
      text: bytesText(now.storeBytes),
      ...(now.quotaBytes === null
        ? { notes: ['no quota'] }
        : {
            share: now.storeBytes / now.quotaBytes,
            notes: [`${percentText(now.storeBytes / now.quotaBytes)} of ${bytesText(now.quotaBytes)}`],
          }),
    },
    { label: 'Keys', text: countText(now.keys), notes: [`${countText(now.watchers)} watches here`] },
    {
      label: 'Revision',
      text: countText(now.revision),
      notes: [rate === undefined ? 'revisions/s: measuring' : `${rateText(rate)} written`],
    },
    {
      label: 'Event loop',
      text: millisecondsText(report.eventLoop.recent.p99Ms),
      notes: ['p99, last minute'],
    },
  ];
}

const stateCells: Readonly<Record<MemberState, Cell>> = {
  self: { text: 'This member', tone: 'good' },
  connected: { text: 'Connected', tone: 'good' },
  silent: { text: 'No answer', tone: 'warning' },
  unreachable: { text: 'Unreachable', tone: 'problem' },
  unstarted: { text: 'Not started', tone: 'warning' },
};

function memberRow({ leader }: StatusReport, member: MemberReport): Row {
  const { id, name, isLearner, clientUrls, state, roundTripMs, lag, own } = member;
  const known = (text: string | undefined): Cell =>
    text === undefined ? { text: UNKNOWN, tone: 'muted' } : { text };
  const role = isLearner ? 'Learner' : id === leader ? 'Leader' : 'Follower';
  return [
    { text: name || '(no name)', notes: [id, ...clientUrls] },
    { text: role },
    stateCells[state],
    known(roundTripMs === null || state !== 'connected' ? undefined : millisecondsText(roundTripMs)),
    known(lag === null ? undefined : countText(lag)),
    known(own === null ? undefined : countText(own.unapplied)),
    known(own === null ? undefined : countText(own.term)),
    known(own === null ? undefined : countText(own.revision)),
    known(own === null ? undefined : bytesText(own.storeBytes)),
    known(own?.version || undefined),
    known(own === null ? undefined : durationText(own.uptimeSeconds)),
  ];
}

function space({ space: now, self }: StatusReport): Fact[] {
  const { storeBytes, inUseBytes, quotaBytes, disk } = now;
  return [
    { label: 'Store', text: bytesText(storeBytes) },
    { label: 'In use', text: bytesText(inUseBytes) },
    { label: 'Quota', text: quotaBytes === null ? 'none' : bytesText(quotaBytes) },
    {
      label: 'Left of the quota',
      text: quotaBytes === null ? UNKNOWN : bytesText(Math.max(0, quotaBytes - storeBytes)),
    },
    {
      label: 'Free on the disk',
      text: disk === null ? UNKNOWN : `${bytesText(disk.freeBytes)} of ${bytesText(disk.totalBytes)}`,
    },
    { label: 'Compacted up to revision', text: countText(Math.max(0, now.compactRevision)) },
    { label: 'Memory of the process', text: bytesText(self.memoryBytes) },
  ];
}

function raft({ raft: { term, committed, applied, ...counts } }: StatusReport): Fact[] {
  return [
    { label: 'Term', text: countText(term) },
    { label: 'Committed entry', text: countText(committed) },
    { label: 'Applied entry', text: countText(applied) },
    { label: 'Proposals in progress', text: countText(counts.pendingProposals) },
    {
      label: 'Proposals failed',
      text: countText(counts.failedProposals),
      tone: counts.failedProposals > 0 ? 'warning' : 'plain',
    },
    { label: 'Changes of the leader seen', text: countText(counts.leaderChanges) },
  ];
}

function eventLoop({ eventLoop: { recent, sinceStart } }: StatusReport): TableView {
  const row = (label: string, read: (loop: typeof recent) => string): Row => [
    { text: label },
    { text: read(recent) },
    { text: read(sinceStart) },
  ];
  return {
    rows: [
      row('p50', ({ p50Ms }) => millisecondsText(p50Ms)),
      row('p99', ({ p99Ms }) => millisecondsText(p99Ms)),
      row('Longest', ({ maxMs }) => millisecondsText(maxMs)),
      row('Measured', ({ seconds }) => durationText(seconds)),
    ],
    empty: '',
  };
}

function backup(report: StatusReport): Fact[] {
  const { backup: now, atMs } = report;
  if (now === null) return [];
  const when = (label: string, ms: number, never: string): Fact =>
    ms === 0
      ? { label, text: never, tone: 'muted' }
      : {
          label,
          text: ageText(atMs - ms),
          notes: [timeText(ms, atMs)],
          time: new Date(ms).toISOString(),
        };
  const never = now.isLeader ? NOT_SINCE_START : 'unknown: the leader does not answer';
  return [
    when('Last good backup', now.lastSuccessMs, now.isLeader ? 'none' : never),
    when('Last proven', now.lastVerifiedMs, never),
    { label: 'Size', text: now.lastSizeBytes === 0 ? UNKNOWN : bytesText(now.lastSizeBytes) },
    {
      label: 'Took, with proof',
      text: now.lastDurationSeconds === 0 ? UNKNOWN : millisecondsText(1000 * now.lastDurationSeconds),
    },
    { label: 'Every', text: durationText(now.intervalSeconds) },
    { label: 'Failed', text: countText(now.failures), tone: now.failures > 0 ? 'warning' : 'plain' },
    {
      label: 'Taken by',
      text: memberName(report, now.memberId),
      ...(now.isInProgress && { notes: ['now'] }),
    },
  ];
}

function slowRequests({ slowRequests: requests, atMs }: StatusReport): TableView {
  return {
    rows: requests.map(({ method, key, isRange, tookMs, atMs: beganMs }) => [
      { text: millisecondsText(tookMs) },
      { text: method },
      {
        text: ageText(atMs - beganMs),
        notes: [timeText(beganMs, atMs)],
        time: new Date(beganMs).toISOString(),
      },
      key === null ? { text: UNKNOWN, tone: 'muted' } : { text: key, ...(isRange && { notes: ['range'] }) },
    ]),
    empty: 'No request to this member took longer than 1 ms in the last hour.',
  };
}

function prefixes(report: StatusReport, before: StatusReport | undefined): TableView {
  const { usage } = report;
  if (usage === null)
    return {
      rows: [],
      empty: 'Nothing is counted. It is with --keystead-usage-prefixes, such as /registry/*.',
    };
  const seconds = secondsSince(before, report);
  const earlier = new Map(before?.usage?.prefixes.map(({ prefix, writes }) => [prefix, writes]));
  const { rest, isComplete, prefixes: shown } = usage;
  const known = (text: string): Cell => (isComplete ? { text } : { text: 'counting', tone: 'muted' });
  const row = (label: string, counts: PrefixReport, writesBefore: number | undefined): Row => [
    { text: label },
    known(bytesText(counts.bytes)),
    known(bytesText(counts.historyBytes)),
    known(countText(counts.keys)),
    seconds === undefined || writesBefore === undefined
      ? { text: UNKNOWN, tone: 'muted' }
      : { text: rateText(Math.max(0, counts.writes - writesBefore) / seconds) },
    { text: countText(counts.watchers) },
  ];
  return {
    rows: [
      ...shown.map((each) => row(each.prefix, each, earlier.get(each.prefix))),
      ...(rest.count === 0
        ? []
        : [
            row(
              `${countText(rest.count)} more`,
              rest,
              before?.usage?.rest.count === rest.count ? before.usage.rest.writes : undefined,
            ),
          ]),
    ],
    empty: 'The store has no keys.',
  };
}
