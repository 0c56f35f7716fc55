import { existsSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BoltReader } from '../../bbolt/reader.ts';
import { hex, reasonOf } from '../../lib/text.ts';
import type { ClusterMember } from '../../membership/member.ts';
import { decodeMemberContext } from '../../membership/member-json.ts';
import { FileSource } from '../../snapshot/file-source.ts';
import { confStateFromJson } from '../../snapshot/conf-state-json.ts';
import { Bucket, MetaKey } from '../../snapshot/schema.ts';
import { dataDirectory } from '../../storage/data-dir.ts';
import type { ConfState } from '../../wire/gen/raftpb.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

/** What etcd's database file says about the members. */
export interface StoredMembership {
  /** Rows of the bucket `members`. etcd 3.6 and later and Keystead take the members from here. */
  readonly members: readonly ClusterMember[];
  readonly removedIds: readonly bigint[];
  /** The configuration of raft; undefined before etcd 3.5. */
  readonly confState: ConfState | undefined;
  readonly storageVersion: string;
}

/** Space that the conversion needs besides the new store and the copy of the log. */
const SPARE_BYTES = 256 * 1024 * 1024;

/** @throws Error if the file is no database of etcd */
export function readMembership(path: string): StoredMembership {
  const source = new FileSource(path);
  try {
    const { root } = BoltReader.open(source);
    const members = [...(root.bucket(Bucket.members)?.elements() ?? [])].map(
      ({ value }) => decodeMemberContext(value).member,
    );
    const removedIds = [...(root.bucket(Bucket.membersRemoved)?.elements() ?? [])].map(({ key }) =>
      BigInt(`0x${key.toString()}`),
    );
    const meta = new Map<string, Buffer>();
    for (const { key, value } of root.bucket(Bucket.meta)?.elements() ?? [])
      meta.set(key.toString('latin1'), value);
    const confState = meta.get(MetaKey.confState);
    return {
      members,
      removedIds,
      confState: confState === undefined ? undefined : confStateFromJson(confState),
      storageVersion: meta.get(MetaKey.storageVersion)?.toString() ?? '',
    };
  } finally {
    source.close();
  }
}

/**
 * Compares the members in the database with the configuration of raft. Some versions of etcd 3.5 wrote a removal or a
 * promotion only to the old store (v2). Then the database keeps a removed member (a zombie) or still calls a voter a
 * learner (a lost promotion), and 3.6 and later use these wrong rows.
 */
export function membershipFindings(stored: StoredMembership): Finding[] {
  const subject = 'membership in the database';
  const { members, removedIds, confState } = stored;
  if (confState === undefined)
    return [problem(subject, 'written by etcd 3.4 or earlier: start it once with etcd 3.5 or later')];
  const voters = new Set([...confState.voters, ...confState.votersOutgoing]);
  const learners = new Set([...confState.learners, ...confState.learnersNext]);
  const findings: Finding[] = [];
  for (const { id, name, isLearner } of members) {
    const which = `${hex(id)}${name === '' ? '' : ` (${name})`}`;
    if (removedIds.includes(id))
      findings.push(problem(subject, `member ${which} is both present and removed`));
    else if (!voters.has(id) && !learners.has(id))
      findings.push(problem(subject, `${which} is a zombie member: it is no part of raft's configuration`));
    else if (isLearner && voters.has(id))
      findings.push(problem(subject, `lost promotion: ${which} is a voter of raft, but stored as a learner`));
    else if (!isLearner && learners.has(id))
      findings.push(problem(subject, `${which} is a learner of raft, but stored as a voter`));
  }
  const known = new Set(members.map(({ id }) => id));
  for (const id of [...voters, ...learners])
    if (!known.has(id))
      findings.push(problem(subject, `member ${hex(id)} of raft's configuration is not in the database`));
  if (findings.length > 0)
    findings.push(
      problem(subject, 'upgrade this cluster to etcd 3.5.26 or later, which repairs it, and check again'),
    );
  else
    findings.push(
      ok(subject, `${members.length} members match raft; ${stored.storageVersion || 'storage of etcd 3.5'}`),
    );
  return findings;
}

/** Checks a data directory of etcd. It may be in use. */
export function dataFindings(root: string, target: string): Finding[] {
  const directory = dataDirectory(root);
  const database = join(directory.snap, 'db');
  if (!existsSync(database))
    return [problem('data directory', `${root} is not a data directory of etcd: ${database} is missing`)];
  return [...readFindings(database), ...spaceFindings(database, directory.wal, target)];
}

/** Checks the membership in a database file or a saved snapshot. */
export function readFindings(database: string): Finding[] {
  try {
    return membershipFindings(readMembership(database));
  } catch (error) {
    return [problem('membership in the database', `${database} cannot be read: ${reasonOf(error)}`)];
  }
}

function spaceFindings(database: string, wal: string, target: string): Finding[] {
  let folder = target;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  const log = existsSync(wal)
    ? readdirSync(wal).reduce((sum, name) => sum + statSync(join(wal, name)).size, 0)
    : 0;
  const needed = statSync(database).size + log + SPARE_BYTES;
  const text = `${megabytes(free)} MB free in ${folder}, at most ${megabytes(needed)} MB needed`;
  if (free < needed) return [problem('free space', text)];
  return [(free < 2 * needed ? warning : ok)('free space', text)];
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}
