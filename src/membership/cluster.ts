import { assert, defined } from '../lib/assert.ts';
import { hex } from '../lib/text.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import { ascending, clusterId, isStarted, memberId, type ClusterMember } from './member.ts';
import { decodeMemberContext, encodeMember } from './member-json.ts';
import { memberRow, removedRow, rows, rowsWith } from './rows.ts';
import { type DowngradeInfo, formatVersion, parseVersion, type Version } from './version.ts';

const REMOVED = Buffer.from('removed');
const NO_DOWNGRADE: DowngradeInfo = { enabled: false, targetVersion: '' };

/**
 * The members of the cluster, the removed members, and the cluster version. Changes are raft entries. They are kept
 * until `stage`, which puts them into the same engine batch as the entry that caused them.
 */
export class Cluster {
  readonly #engine: Engine;
  readonly #members = new Map<bigint, ClusterMember>();
  readonly #removed = new Set<bigint>();
  /** Rows to write; undefined for rows to delete. */
  readonly #dirty = new Map<string, Buffer | undefined>();
  #version: Version | undefined;
  #downgrade: DowngradeInfo = NO_DOWNGRADE;
  /** The IDs of this member and of the cluster, as in the metadata of the WAL. */
  readonly localId: bigint;
  readonly id: bigint;

  constructor(options: { readonly engine: Engine; readonly localId: bigint; readonly id: bigint }) {
    this.#engine = options.engine;
    this.localId = options.localId;
    this.id = options.id;
    this.recover();
  }

  /** Reads members and versions from the engine. */
  recover(): void {
    this.#members.clear();
    this.#removed.clear();
    this.#dirty.clear();
    for (const [, value] of this.#rows(rows.members)) {
      const { member } = decodeMemberContext(value);
      this.#members.set(member.id, member);
    }
    for (const [key] of this.#rows(rows.removed))
      this.#removed.add(BigInt(`0x${key.toString('latin1', rows.removed.length)}`));
    const version = this.#engine.get('meta', rows.clusterVersion);
    this.#version = version === undefined ? undefined : parseVersion(version.toString());
    const downgrade = this.#engine.get('meta', rows.downgrade);
    this.#downgrade = downgrade === undefined ? NO_DOWNGRADE : decodeDowngrade(downgrade);
  }

  *#rows(prefix: string): Generator<[Buffer, Buffer]> {
    const iterator = this.#engine.iterate('meta', rowsWith(prefix));
    try {
      for (;;) {
        const chunk = iterator.next(256);
        if (chunk.length === 0) return;
        for (let i = 0; i < chunk.length; i += 2) {
          yield [
            defined(chunk[i], 'iterator rows come in pairs'),
            defined(chunk[i + 1], 'iterator rows come in pairs'),
          ];
        }
      }
    } finally {
      iterator.close();
    }
  }

  /** All members by ascending ID. */
  members(): ClusterMember[] {
    return [...this.#members.values()].sort((a, b) => ascending(a.id, b.id));
  }

  votingMembers(): ClusterMember[] {
    return this.members().filter((member) => !member.isLearner);
  }

  member(id: bigint): ClusterMember | undefined {
    return this.#members.get(id);
  }

  /** Whether the ID belonged to a member that was removed. Such an ID is never used again. */
  isRemoved(id: bigint): boolean {
    return this.#removed.has(id);
  }

  removedIds(): bigint[] {
    return [...this.#removed].sort(ascending);
  }

  get isLocalLearner(): boolean {
    return this.#members.get(this.localId)?.isLearner === true;
  }

  get version(): Version | undefined {
    return this.#version;
  }

  get downgrade(): DowngradeInfo {
    return this.#downgrade;
  }

  add(member: ClusterMember): void {
    this.#save(member);
  }

  /** Also records the removal of an ID that is not a member. */
  remove(id: bigint): void {
    this.#members.delete(id);
    this.#removed.add(id);
    this.#dirty.set(memberRow(id).toString('latin1'), undefined);
    this.#dirty.set(removedRow(id).toString('latin1'), REMOVED);
  }

  promote(id: bigint): void {
    const member = this.#members.get(id);
    if (member !== undefined) this.#save({ ...member, isLearner: false });
  }

  updatePeerUrls(id: bigint, peerUrls: readonly string[]): void {
    const member = this.#members.get(id);
    if (member !== undefined) this.#save({ ...member, peerUrls: [...peerUrls] });
  }

  /** Sets what a member publishes about itself. Ignored for a removed member. */
  updateAttributes(
    id: bigint,
    attributes: { readonly name: string; readonly clientUrls: readonly string[] },
  ): void {
    const member = this.#members.get(id);
    assert(
      member !== undefined || this.#removed.has(id),
      `attributes are set for a current or removed member, not for ${hex(id)}`,
    );
    if (member !== undefined)
      this.#save({ ...member, name: attributes.name, clientUrls: [...attributes.clientUrls] });
  }

  setVersion(version: Version): void {
    this.#version = version;
    this.#dirty.set(rows.clusterVersion.toString('latin1'), Buffer.from(formatVersion(version)));
  }

  setDowngrade(info: DowngradeInfo): void {
    this.#downgrade = info;
    const json = JSON.stringify({ 'target-version': info.targetVersion, enabled: info.enabled });
    this.#dirty.set(rows.downgrade.toString('latin1'), Buffer.from(json));
  }

  /** Whether there is a quorum of started members after adding one voter. */
  isReadyToAddVoter(): boolean {
    const voters = this.votingMembers();
    const started = voters.filter(isStarted).length;
    const members = voters.length + 1;
    // A single member that was just restored from a backup must be able to add the second one.
    if (started === 1 && members === 2) return true;
    return started >= Math.floor(members / 2) + 1;
  }

  /** Whether the voters without this one still have a quorum of started members. */
  isReadyToRemoveVoter(id: bigint): boolean {
    const voters = this.votingMembers().filter((member) => member.id !== id);
    return voters.filter(isStarted).length >= Math.floor(voters.length / 2) + 1;
  }

  /** Whether a quorum is started after this learner becomes a voter. The learner counts as started. */
  isReadyToPromote(): boolean {
    const voters = this.votingMembers();
    return voters.filter(isStarted).length + 1 >= Math.floor((voters.length + 1) / 2) + 1;
  }

  /** Puts the changes since the last call into the batch. */
  stage(batch: WriteBatch): void {
    if (this.#dirty.size === 0) return;
    for (const [row, value] of this.#dirty) {
      const key = Buffer.from(row, 'latin1');
      if (value === undefined) batch.del('meta', key);
      else batch.put('meta', key, value);
    }
    this.#dirty.clear();
  }

  #save(member: ClusterMember): void {
    this.#members.set(member.id, member);
    this.#dirty.set(memberRow(member.id).toString('latin1'), encodeMember(member));
  }
}

function decodeDowngrade(json: Buffer): DowngradeInfo {
  const parsed: unknown = JSON.parse(json.toString());
  assert(typeof parsed === 'object' && parsed !== null, 'the stored downgrade row is a JSON object');
  const fields = parsed as Readonly<Record<string, unknown>>;
  const target = fields['target-version'];
  return { enabled: fields['enabled'] === true, targetVersion: typeof target === 'string' ? target : '' };
}

/**
 * The members and the cluster ID of a static bootstrap. They are the same on each member.
 *
 * @param initial member name to its peer URLs
 * @returns undefined if two members get the same ID
 */
export function bootstrapCluster(
  initial: ReadonlyMap<string, readonly string[]>,
  token: string,
): { id: bigint; members: ClusterMember[] } | undefined {
  const members = [...initial].map(([name, peerUrls]): ClusterMember => {
    return {
      id: memberId({ peerUrls, token }),
      name,
      peerUrls: [...peerUrls],
      clientUrls: [],
      isLearner: false,
    };
  });
  const ids = members.map((member) => member.id);
  if (new Set(ids).size !== ids.length) return undefined;
  return { id: clusterId(ids), members: members.sort((a, b) => ascending(a.id, b.id)) };
}
