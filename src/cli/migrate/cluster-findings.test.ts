import { describe, expect, it } from 'vitest';
import { DowngradeInfo, Member, ResponseHeader, StatusResponse } from '../../wire/gen/etcdserverpb.ts';
import { clusterFindings, type MemberState } from './cluster-findings.ts';

const LEADER = 1n;

function state(
  id: bigint,
  status: Partial<StatusResponse> | string = {},
  member: Partial<Member> = {},
): MemberState {
  const url = `http://10.0.0.${id}:2379`;
  return {
    member: Member.create({ id, name: `m${id}`, clientUrls: [url], ...member }),
    status:
      typeof status === 'string'
        ? status
        : StatusResponse.create({
            header: ResponseHeader.create({ memberId: id }),
            version: '3.6.11',
            leader: LEADER,
            raftIndex: 10_000,
            raftAppliedIndex: 10_000,
            ...status,
          }),
  };
}

/** Texts of what is not in order. */
function complaints(members: readonly MemberState[], alarms: readonly string[] | string = []): string[] {
  return clusterFindings({ members, alarms })
    .filter(({ level }) => level !== 'ok')
    .map(({ level, subject, message }) => `${level} ${subject}: ${message}`);
}

describe('the check of a running cluster', () => {
  it('has nothing against a healthy cluster', () => {
    expect(complaints([state(1n), state(2n), state(3n)])).toEqual([]);
  });

  const cases: readonly (readonly [string, readonly MemberState[], string])[] = [
    [
      'a member that does not answer',
      [state(1n, 'refused')],
      'problem member m1 (1): does not answer: refused',
    ],
    [
      'a member that never started',
      [state(1n), { member: Member.create({ id: 2n }), status: undefined }],
      'problem member 2: was added but never started: start it or remove it first',
    ],
    [
      'a client URL of another member',
      [state(1n, { header: ResponseHeader.create({ memberId: 9n }) })],
      'problem member m1 (1): its client URL http://10.0.0.1:2379 leads to member 9',
    ],
    [
      'a member without a leader',
      [state(1n), state(2n, { leader: 0n })],
      'problem leader: member m2 (2) has no leader',
    ],
    ['two leaders', [state(1n), state(2n, { leader: 2n })], 'problem leader: the members disagree: 1, 2'],
    [
      'a member that is far behind',
      [state(1n), state(2n, { raftAppliedIndex: 10 })],
      'problem member m2 (2): is 9990 entries behind the others',
    ],
    [
      'a learner',
      [state(1n), state(2n, { isLearner: true }, { isLearner: true })],
      'problem learners: member m2 (2) is a learner: promote or remove it first',
    ],
    [
      'etcd 3.4',
      [state(1n, { version: '3.4.30' })],
      'problem versions: member m1 (1) runs 3.4.30: upgrade it to 3.5 or later first',
    ],
    [
      'a version that is newer than Keystead',
      [state(1n, { version: '3.8.0' })],
      'problem versions: member m1 (1) runs 3.8.0, newer than Keystead',
    ],
    [
      'different versions',
      [state(1n), state(2n, { version: '3.7.1' })],
      'warning versions: the members differ: 3.6.11, 3.7.1',
    ],
    [
      'a downgrade',
      [state(1n, { downgradeInfo: DowngradeInfo.create({ enabled: true, targetVersion: '3.5.0' }) })],
      'problem versions: a downgrade to 3.5.0 is under way: finish or cancel it first',
    ],
    [
      'a quota that is nearly full',
      [state(1n, { dbSize: 90, dbSizeQuota: 100 })],
      'warning member m1 (1): uses 90 % of its quota: compact and defragment it, or raise the quota',
    ],
    [
      'an error of a member',
      [state(1n, { errors: ['etcdserver: no leader', 'disk broken'] })],
      'problem member m1 (1): disk broken',
    ],
  ];
  it.each(cases)('reports %s', (_, members, expected) => {
    expect(complaints(members)).toEqual([expected]);
  });

  it('warns of versions that can have damaged a membership', () => {
    expect(complaints([state(1n, { version: '3.5.9' })])[0]).toMatch(
      /^warning versions: member m1 \(1\) runs 3\.5\.9: earlier 3\.5 versions/,
    );
  });

  it('reports a cluster that cannot confirm its members', () => {
    const findings = clusterFindings({ members: [state(1n)], alarms: [], unconfirmed: 'no leader' });
    expect(findings[0]).toMatchObject({ level: 'problem', subject: 'cluster' });
  });

  it('reports alarms, and that they cannot be read', () => {
    expect(complaints([state(1n)], ['NOSPACE on member 1'])[0]).toMatch(
      /^problem alarms: NOSPACE on member 1/,
    );
    expect(complaints([state(1n)], 'refused')).toEqual(['problem alarms: cannot be read: refused']);
  });
});
