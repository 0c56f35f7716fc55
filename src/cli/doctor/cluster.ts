import { hex } from '../../lib/text.ts';
import type { Member, StatusResponse } from '../../wire/gen/etcdserverpb.ts';
import { type ClusterState, MAX_LAG, memberName, type MemberState } from '../migrate/cluster-findings.ts';
import { type Diagnosis, good, problem, warning } from './diagnosis.ts';

/** Shares of the quota. */
const NEARLY_FULL = 0.8;
const FULL = 0.95;

interface Answer {
  readonly member: Member;
  readonly status: StatusResponse;
}

/** Judges the answers of a cluster. */
export function judgeCluster({ members, alarms, unconfirmed }: ClusterState): Diagnosis[] {
  const answers = members.flatMap(({ member, status }) =>
    typeof status === 'object' ? [{ member, status }] : [],
  );
  return [
    ...(unconfirmed === undefined
      ? []
      : [
          problem(
            'cluster',
            `cannot confirm its members, so it has no majority or no leader: ${unconfirmed}`,
            'start the members that do not answer; if a majority is lost for good, see --force-new-cluster',
          ),
        ]),
    ...members.map(judgeMember),
    ...judgeLeader(answers),
    ...judgeVoters(members),
    ...judgeAlarms(alarms),
    ...answers.map(judgeQuota),
    ...judgeVersions(answers),
  ];
}

function judgeMember({ member, status }: MemberState): Diagnosis {
  const subject = memberName(member);
  if (status === undefined)
    return problem(
      subject,
      'was added but never started',
      'start it, or remove it with etcdctl member remove',
    );
  if (typeof status === 'string')
    return problem(
      subject,
      `does not answer: ${status}`,
      'look at its log, and at the network and certificates',
    );
  const errors = status.errors.filter((text) => !/alarm|no leader/i.test(text));
  if (errors.length > 0) return problem(subject, errors.join('; '), 'look at its log');
  return good(subject, `answers, version ${status.version}`);
}

function judgeLeader(answers: readonly Answer[]): Diagnosis[] {
  if (answers.length === 0) return [];
  const hint = 'look at the network between the members, and at their disks';
  const without = answers.filter(({ status }) => status.leader === 0n);
  if (without.length > 0)
    return [
      problem('leader', `${without.map(({ member }) => memberName(member)).join(', ')} has none`, hint),
    ];
  const leaders = new Set(answers.map(({ status }) => status.leader));
  if (leaders.size > 1)
    return [warning('leader', `the members disagree: ${[...leaders].map(hex).join(', ')}`, 'try again')];
  const newest = Math.max(...answers.map(({ status }) => status.raftIndex));
  const behind = answers.flatMap(({ member, status }) => {
    const lag = newest - status.raftAppliedIndex;
    if (lag <= MAX_LAG) return [];
    return [
      warning(memberName(member), `is ${lag} entries behind`, 'look at its disk, processor and network'),
    ];
  });
  const id = [...leaders][0] ?? 0n;
  const leader = answers.find(({ member }) => member.id === id);
  return [good('leader', leader === undefined ? hex(id) : memberName(leader.member)), ...behind];
}

function judgeVoters(members: readonly MemberState[]): Diagnosis[] {
  const learners = members.filter(({ member }) => member.isLearner);
  const voters = members.length - learners.length;
  const findings = learners.map(({ member }) =>
    warning(
      memberName(member),
      'is a learner',
      'promote it with etcdctl member promote when it has caught up',
    ),
  );
  if (voters % 2 === 0)
    findings.push(
      warning(
        'members',
        `${voters} voters tolerate no more failures than ${voters - 1}`,
        'use 3 or 5 voters',
      ),
    );
  else findings.push(good('members', voters === 1 ? '1, without redundancy' : `${voters} voters`));
  return findings;
}

function judgeAlarms(alarms: ClusterState['alarms']): Diagnosis[] {
  if (typeof alarms === 'string')
    return [problem('alarms', `cannot be read: ${alarms}`, 'give a user with the role root by --user')];
  if (alarms.length === 0) return [good('alarms', 'none')];
  return alarms.map((alarm) =>
    problem(
      'alarms',
      alarm,
      alarm.startsWith('NOSPACE')
        ? 'compact the history or delete keys, or raise --quota-backend-bytes or free disk space; then etcdctl alarm disarm'
        : 'replace this member: remove it, delete its data directory and add it again; then etcdctl alarm disarm',
    ),
  );
}

function judgeQuota({ member, status }: Answer): Diagnosis {
  const subject = `quota of ${memberName(member)}`;
  const { dbSize, dbSizeQuota } = status;
  if (dbSizeQuota <= 0) return good(subject, `none; ${dbSize} bytes are used`);
  const text = `${((100 * dbSize) / dbSizeQuota).toFixed(1)} % of ${dbSizeQuota} bytes are used`;
  const hint =
    'look at keystead top for what fills it; compact the history, set --auto-compaction-retention, or raise --quota-backend-bytes';
  if (dbSize >= FULL * dbSizeQuota) return problem(subject, text, hint);
  return dbSize >= NEARLY_FULL * dbSizeQuota ? warning(subject, text, hint) : good(subject, text);
}

function judgeVersions(answers: readonly Answer[]): Diagnosis[] {
  const downgrading = answers.find(({ status }) => status.downgradeInfo?.enabled === true);
  if (downgrading !== undefined) {
    const target = downgrading.status.downgradeInfo?.targetVersion ?? '';
    return [warning('versions', `a downgrade to ${target} is under way`, 'finish or cancel it')];
  }
  const versions = [...new Set(answers.map(({ status }) => status.version))].toSorted();
  if (versions.length > 1)
    return [warning('versions', `the members differ: ${versions.join(', ')}`, 'finish the upgrade')];
  return versions.length === 0 ? [] : [good('versions', versions.join())];
}
