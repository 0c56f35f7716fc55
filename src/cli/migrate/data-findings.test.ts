import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type BucketContents, databaseChunks, measureDatabase } from '../../bbolt/writer.ts';
import type { ClusterMember } from '../../membership/member.ts';
import { encodeMember } from '../../membership/member-json.ts';
import { confStateToJson } from '../../snapshot/conf-state-json.ts';
import { ConfState } from '../../wire/gen/raftpb.ts';
import { endFinding } from './certificate-findings.ts';
import { dataFindings, membershipFindings, readMembership } from './data-findings.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-migrate-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function member(id: bigint, isLearner = false): ClusterMember {
  return { id, name: `m${id}`, peerUrls: [`http://10.0.0.${id}:2380`], clientUrls: [], isLearner };
}

interface Stored {
  readonly members: readonly ClusterMember[];
  readonly removedIds?: readonly bigint[];
  readonly confState?: Partial<ConfState>;
}

/** A database file of etcd with the rows that the check reads. */
function database({ members, removedIds = [], confState }: Stored): Buffer {
  const bucket = (rows: readonly (readonly [string, Buffer])[]): BucketContents => ({
    elements: () => rows.map(([key, value]) => ({ key: Buffer.from(key), value })),
  });
  const buckets: readonly (readonly [string, BucketContents])[] = [
    ['members', bucket(members.map((each) => [each.id.toString(16), encodeMember(each)]))],
    ['members_removed', bucket(removedIds.map((id) => [id.toString(16), Buffer.from('removed')]))],
    [
      'meta',
      bucket(confState === undefined ? [] : [['confState', confStateToJson(ConfState.create(confState))]]),
    ],
  ];
  const contents: BucketContents = {
    elements: () => buckets.map(([key, value]) => ({ key: Buffer.from(key), bucket: value })),
  };
  return Buffer.concat([...databaseChunks(contents, measureDatabase(contents), 1 << 16)]);
}

function complaints(stored: Stored): string[] {
  const path = join(root, 'db');
  writeFileSync(path, database(stored));
  return membershipFindings(readMembership(path))
    .filter(({ level }) => level !== 'ok')
    .map(({ message }) => message);
}

const REPAIR = 'upgrade this cluster to etcd 3.5.26 or later, which repairs it, and check again';

describe('the members in a database of etcd', () => {
  it('match the configuration of raft', () => {
    expect(
      complaints({
        members: [member(1n), member(2n), member(3n, true)],
        removedIds: [9n],
        confState: { voters: [1n, 2n], learners: [3n] },
      }),
    ).toEqual([]);
  });

  it('include a zombie: a removed member whose row stayed', () => {
    expect(complaints({ members: [member(1n), member(7n)], confState: { voters: [1n] } })).toEqual([
      "7 (m7) is a zombie member: it is no part of raft's configuration",
      REPAIR,
    ]);
    expect(
      complaints({ members: [member(1n), member(7n)], removedIds: [7n], confState: { voters: [1n] } }),
    ).toEqual(['member 7 (m7) is both present and removed', REPAIR]);
  });

  it('include a lost promotion: a voter that is stored as a learner', () => {
    expect(complaints({ members: [member(1n), member(2n, true)], confState: { voters: [1n, 2n] } })).toEqual([
      'lost promotion: 2 (m2) is a voter of raft, but stored as a learner',
      REPAIR,
    ]);
  });

  it('lack a member of raft, or call a learner a voter', () => {
    expect(complaints({ members: [member(1n)], confState: { voters: [1n], learners: [2n] } })).toEqual([
      "member 2 of raft's configuration is not in the database",
      REPAIR,
    ]);
    expect(complaints({ members: [member(1n)], confState: { learners: [1n] } })).toEqual([
      '1 (m1) is a learner of raft, but stored as a voter',
      REPAIR,
    ]);
  });

  it('cannot be judged before etcd 3.5', () => {
    expect(complaints({ members: [member(1n)] })).toEqual([
      'written by etcd 3.4 or earlier: start it once with etcd 3.5 or later',
    ]);
  });
});

describe('a data directory of etcd', () => {
  it('is refused if it is none, or if its database is damaged', () => {
    expect(dataFindings(join(root, 'none'), root)[0]).toMatchObject({ level: 'problem' });
    const damaged = join(root, 'damaged');
    mkdirSync(join(damaged, 'member/snap'), { recursive: true });
    writeFileSync(join(damaged, 'member/snap/db'), 'no database');
    expect(dataFindings(damaged, root)[0]?.message).toMatch(/db cannot be read/);
  });

  it('is compared with the free space of the target', () => {
    const directory = join(root, 'etcd');
    mkdirSync(join(directory, 'member/snap'), { recursive: true });
    writeFileSync(
      join(directory, 'member/snap/db'),
      database({ members: [member(1n)], confState: { voters: [1n] } }),
    );
    const findings = dataFindings(directory, join(root, 'new', 'directory'));
    expect(findings.map(({ subject }) => subject)).toEqual(['membership in the database', 'free space']);
    expect(findings[1]?.message).toContain(`MB free in ${root}`);
  });
});

it.each([
  [-1, 'problem', 'has ended'],
  [1.5, 'problem', 'ends in 1 days'],
  [20, 'warning', 'ends in 20 days'],
  [200, 'ok', 'until'],
])('a certificate with %s days left: %s', (days, level, text) => {
  const now = Date.parse('2026-11-21T00:00:00Z');
  const finding = endFinding('certificate', new Date(now + days * 86_400_000), now);
  expect(finding.level).toBe(level);
  expect(finding.message).toContain(text);
});
