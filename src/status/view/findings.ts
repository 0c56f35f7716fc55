import type { StatusReport } from '../report.ts';
import { ageText, bytesText, countOf, durationText, millisecondsText, percentText } from './units.ts';

export interface Finding {
  readonly level: 'problem' | 'warning';
  /** Stays the same while the finding does: it is read out when it changes. */
  readonly title: string;
  /** With figures, which change. */
  readonly detail: string;
}

const LAG_ENTRIES = 5000;
const LOOP_P99_MS = 50;
const QUOTA_WARNING = 0.8;
const QUOTA_PROBLEM = 0.95;
const DISK_FREE = 0.1;
/** A backup takes time itself. */
const LATE_INTERVALS = 2;

/** What an operator should look at, the problems first. */
export function findingsOf(report: StatusReport): Finding[] {
  const all = [
    ...leadership(report),
    ...alarms(report),
    ...members(report),
    ...space(report),
    ...backups(report),
    ...load(report),
  ];
  return [
    ...all.filter(({ level }) => level === 'problem'),
    ...all.filter(({ level }) => level === 'warning'),
  ];
}

/** The name of a member, or its ID if it has none. */
export function memberName({ members }: StatusReport, id: string): string {
  return members.find((each) => each.id === id)?.name || id;
}

function problem(title: string, detail: string): Finding {
  return { level: 'problem', title, detail };
}

function warning(title: string, detail: string): Finding {
  return { level: 'warning', title, detail };
}

function leadership({ leader }: StatusReport): Finding[] {
  return leader === null
    ? [problem('No leader', 'This member knows no leader. Writes and linearizable reads wait or fail.')]
    : [];
}

function alarms(report: StatusReport): Finding[] {
  return report.alarms.map(({ memberId, alarm }) =>
    problem(
      `Alarm ${alarm} of ${memberName(report, memberId)}`,
      alarm === 'NOSPACE'
        ? 'Writes are refused until space is freed and the alarm is disarmed.'
        : 'The data of the member differs from that of the others. Requests are refused.',
    ),
  );
}

function members(report: StatusReport): Finding[] {
  const found: Finding[] = [];
  for (const { id, name, state, lag } of report.members) {
    const shown = name || id;
    if (state === 'unreachable')
      found.push(problem(`Member ${shown} is unreachable`, 'This member has no connection with it.'));
    else if (state === 'silent')
      found.push(
        warning(`Member ${shown} does not answer`, 'It is connected, but did not answer within a second.'),
      );
    else if (state === 'unstarted')
      found.push(
        warning(`Member ${shown} was never started`, 'It was added to the cluster and has not joined yet.'),
      );
    if (state !== 'unreachable' && lag !== null && lag > LAG_ENTRIES)
      found.push(
        warning(`Member ${shown} lags`, `It is ${countOf(lag, 'entry', 'entries')} behind the leader.`),
      );
  }
  const versions = new Set(report.members.flatMap(({ own }) => (own === null ? [] : [own.version])));
  if (versions.size > 1)
    found.push(warning('Versions differ', `The members run ${[...versions].sort().join(', ')}.`));
  return found;
}

function space({ space: { storeBytes, quotaBytes, disk } }: StatusReport): Finding[] {
  const found: Finding[] = [];
  const share = quotaBytes === null ? 0 : storeBytes / quotaBytes;
  if (quotaBytes !== null && share >= QUOTA_WARNING) {
    const level = share >= QUOTA_PROBLEM ? 'problem' : 'warning';
    const detail = `${percentText(share)} of ${bytesText(quotaBytes)} is used. Above it, writes are refused.`;
    found.push({ level, title: 'The quota is nearly used up', detail });
  }
  if (disk !== null && disk.freeBytes < DISK_FREE * disk.totalBytes)
    found.push(
      warning(
        'The disk is nearly full',
        `${bytesText(disk.freeBytes)} of ${bytesText(disk.totalBytes)} are free.`,
      ),
    );
  return found;
}

function backups({ atMs, backup }: StatusReport): Finding[] {
  // Another member than the leader does not know them.
  if (backup?.isLeader !== true) return [];
  const { lastSuccessMs, intervalSeconds, failures } = backup;
  const failed = failures === 0 ? '' : ` ${countOf(failures, 'backup has', 'backups have')} failed.`;
  if (lastSuccessMs === 0)
    return [
      warning('There is no good backup yet', `One is taken every ${durationText(intervalSeconds)}.${failed}`),
    ];
  if (atMs - lastSuccessMs <= LATE_INTERVALS * intervalSeconds * 1000) return [];
  const detail = `The last good one was taken ${ageText(atMs - lastSuccessMs)}; one is taken every ${durationText(intervalSeconds)}.${failed}`;
  return [problem('Backups are late', detail)];
}

function load({ eventLoop: { recent } }: StatusReport): Finding[] {
  return recent.p99Ms >= LOOP_P99_MS
    ? [
        warning(
          'The event loop is delayed',
          `One turn in a hundred began ${millisecondsText(recent.p99Ms)} late or more. The processor is too slow for the load.`,
        ),
      ]
    : [];
}
