import { hex } from '../../lib/text.ts';
import { compareVersions, parseVersion, type Version } from '../../membership/version.ts';
import type { Member, StatusResponse } from '../../wire/gen/etcdserverpb.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

/** The answers of a running cluster, as far as it gave them. */
export interface ClusterState {
  /** Why the cluster could not confirm the list of members; then it is the list that one member knows. */
  readonly unconfirmed?: string;
  readonly members: readonly MemberState[];
  /** Alarms as `NOSPACE on member 8e9e05c52164694d`; a string for the reason if they could not be read. */
  readonly alarms: readonly string[] | string;
}

export interface MemberState {
  readonly member: Member;
  /** The answer of the member itself; undefined if it has no client URL; a string for the reason of a failure. */
  readonly status: StatusResponse | string | undefined;
}

/** The oldest version whose data Keystead imports and whose clusters it joins. */
const OLDEST: Version = { major: 3, minor: 5, patch: 0 };
/** From this version on, etcd 3.5 repairs memberships that an earlier 3.5 has damaged. */
const REPAIRED_3_5: Version = { major: 3, minor: 5, patch: 26 };
const NEWEST_MINOR = 7;
/** Share of the quota above which a migration should wait for a compaction. */
const FULL = 0.8;
/** Entries that a healthy follower may lag behind. */
export const MAX_LAG = 5_000;

/** Judges the answers of a cluster. */
export function clusterFindings({ members, alarms, unconfirmed }: ClusterState): Finding[] {
  const statuses = members.flatMap(({ member, status }) => (isStatus(status) ? [{ member, status }] : []));
  return [
    ...(unconfirmed === undefined
      ? []
      : [
          problem(
            'cluster',
            `cannot confirm its members, so it has no majority or no leader: ${unconfirmed}`,
          ),
        ]),
    ...members.flatMap((state) => reachability(state)),
    ...leaderFindings(statuses),
    ...alarmFindings(alarms),
    ...learnerFindings(members),
    ...versionFindings(statuses),
    ...sizeFindings(statuses),
  ];
}

interface Answer {
  readonly member: Member;
  readonly status: StatusResponse;
}

function isStatus(status: MemberState['status']): status is StatusResponse {
  return typeof status === 'object';
}

/** The name of a member in findings. */
export function memberName({ id, name }: Member): string {
  return name === '' ? `member ${hex(id)}` : `member ${name} (${hex(id)})`;
}

function reachability({ member, status }: MemberState): Finding[] {
  const subject = memberName(member);
  if (status === undefined)
    return [problem(subject, 'was added but never started: start it or remove it first')];
  if (typeof status === 'string') return [problem(subject, `does not answer: ${status}`)];
  if (status.header !== undefined && status.header.memberId !== member.id) {
    const other = hex(status.header.memberId);
    return [problem(subject, `its client URL ${member.clientUrls.join()} leads to member ${other}`)];
  }
  // A status repeats the alarms and the missing leader, which have findings of their own.
  const errors = status.errors.filter((text) => !/alarm|no leader/i.test(text));
  if (errors.length > 0) return [problem(subject, errors.join('; '))];
  return [ok(subject, `answers, version ${status.version}, ${status.dbSize} bytes`)];
}

function leaderFindings(answers: readonly Answer[]): Finding[] {
  if (answers.length === 0) return [];
  const without = answers.filter(({ status }) => status.leader === 0n);
  if (without.length > 0)
    return [problem('leader', `${without.map(({ member }) => memberName(member)).join(', ')} has no leader`)];
  const leaders = new Set(answers.map(({ status }) => status.leader));
  if (leaders.size > 1)
    return [problem('leader', `the members disagree: ${[...leaders].map(hex).join(', ')}`)];
  const newest = Math.max(...answers.map(({ status }) => status.raftIndex));
  const late = answers.filter(({ status }) => newest - status.raftAppliedIndex > MAX_LAG);
  const behind = late.map(({ member, status }) =>
    problem(memberName(member), `is ${newest - status.raftAppliedIndex} entries behind the others`),
  );
  return [ok('leader', hex([...leaders][0] ?? 0n)), ...behind];
}

function alarmFindings(alarms: ClusterState['alarms']): Finding[] {
  if (typeof alarms === 'string') return [problem('alarms', `cannot be read: ${alarms}`)];
  if (alarms.length === 0) return [ok('alarms', 'none')];
  return alarms.map((alarm) =>
    problem('alarms', `${alarm}: remove the cause and run etcdctl alarm disarm first`),
  );
}

function learnerFindings(members: readonly MemberState[]): Finding[] {
  const learners = members.filter(({ member }) => member.isLearner);
  if (learners.length === 0) return [ok('learners', 'none')];
  return learners.map(({ member }) =>
    problem('learners', `${memberName(member)} is a learner: promote or remove it first`),
  );
}

function versionFindings(answers: readonly Answer[]): Finding[] {
  const findings: Finding[] = [];
  const downgrading = answers.find(({ status }) => status.downgradeInfo?.enabled === true);
  if (downgrading !== undefined) {
    const target = downgrading.status.downgradeInfo?.targetVersion ?? '';
    findings.push(problem('versions', `a downgrade to ${target} is under way: finish or cancel it first`));
  }
  for (const { member, status } of answers) {
    const version = parseVersion(status.version);
    if (version === undefined) {
      findings.push(problem('versions', `${memberName(member)} has the unknown version "${status.version}"`));
    } else if (compareVersions(version, OLDEST) < 0) {
      findings.push(
        problem('versions', `${memberName(member)} runs ${status.version}: upgrade it to 3.5 or later first`),
      );
    } else if (version.major > 3 || version.minor > NEWEST_MINOR) {
      findings.push(problem('versions', `${memberName(member)} runs ${status.version}, newer than Keystead`));
    } else if (version.minor === 5 && compareVersions(version, REPAIRED_3_5) < 0) {
      findings.push(
        warning(
          'versions',
          `${memberName(member)} runs ${status.version}: earlier 3.5 versions can have damaged memberships; ` +
            'check each data directory with --data-dir, or upgrade to 3.5.26 first',
        ),
      );
    }
  }
  const versions = new Set(answers.map(({ status }) => status.version));
  if (versions.size > 1)
    findings.push(warning('versions', `the members differ: ${[...versions].toSorted().join(', ')}`));
  if (findings.length === 0 && versions.size === 1) findings.push(ok('versions', [...versions].join()));
  return findings;
}

function sizeFindings(answers: readonly Answer[]): Finding[] {
  return answers.flatMap(({ member, status }) => {
    if (status.dbSizeQuota === 0 || status.dbSize < FULL * status.dbSizeQuota) return [];
    const percent = Math.round((100 * status.dbSize) / status.dbSizeQuota);
    return [
      warning(
        memberName(member),
        `uses ${percent} % of its quota: compact and defragment it, or raise the quota`,
      ),
    ];
  });
}
