import { Machine } from '../../../apply/testing/machine.ts';
import { tempFolder } from '../../../lib/testing/temp-folder.ts';
import { AppliedTail } from '../../../server/applied-tail.ts';
import type { EntryId } from '../../../ports/applied-log.ts';
import { InternalRaftRequest } from '../../../wire/gen/etcdserverpb.ts';
import { Entry, EntryType } from '../../../wire/gen/raftpb.ts';
import type { BackupKey } from '../../encryption.ts';
import { FolderPlace } from '../../folder-place.ts';
import type { BackupPlace } from '../../place.ts';
import { LogWriter } from '../writer.ts';

export const newPlace = (): FolderPlace => new FolderPlace(tempFolder('backup-log'));

export const START = Date.parse('2026-11-22T10:00:00Z');
const INTERVAL_MS = 5_000;

/** The raft log of a cluster and the time, which its members share. */
export class Cluster {
  readonly log: Entry[] = [];
  term = 1;
  nowMs = 0;
  readonly place: BackupPlace;
  readonly key: BackupKey | undefined;

  constructor(place: BackupPlace = newPlace(), key?: BackupKey) {
    this.place = place;
    this.key = key;
  }

  /** Appends an entry for each request; `undefined` is the empty entry of a new leader. */
  append(...requests: readonly (Partial<InternalRaftRequest> | undefined)[]): void {
    for (const request of requests) {
      const index = this.log.length + 1;
      const header = { id: BigInt(index), username: '', authRevision: 0 };
      const data =
        request === undefined
          ? undefined
          : InternalRaftRequest.encode(InternalRaftRequest.create({ header, ...request }));
      this.log.push(Entry.create({ type: EntryType.EntryNormal, index, term: this.term, data }));
    }
  }
}

export interface LeaderOptions {
  readonly maxBytes?: number;
  /** The member has only the entries after this one, as after a snapshot. */
  readonly base?: EntryId;
  readonly key?: BackupKey;
}

/** A member that leads: it applies the log of its cluster and stores it. */
export class Leader {
  readonly machine = new Machine();
  readonly cluster: Cluster;
  readonly tail: AppliedTail;
  readonly counts = { lastSuccessSeconds: 0, bytes: 0, segments: 0, failures: 0, gaps: 0 };
  readonly messages: string[] = [];
  readonly requested: string[] = [];
  readonly writer: LogWriter;
  isLeader = true;
  #look: () => void = () => undefined;
  #applied = 0;

  constructor(cluster: Cluster, { maxBytes = 64 << 20, base, key = cluster.key }: LeaderOptions = {}) {
    this.cluster = cluster;
    const clock = { now: () => cluster.nowMs, wall: () => START + cluster.nowMs };
    this.tail = new AppliedTail({ clock, maxBytes, maxAgeMs: 60_000, base: { index: 0, term: 0 } });
    const log = (message: string, fields?: object): void =>
      void this.messages.push(`${message} ${JSON.stringify(fields)}`);
    if (base !== undefined) {
      this.apply(base.index);
      this.tail.reset(base);
    }
    this.writer = new LogWriter({
      intervalMs: INTERVAL_MS,
      place: cluster.place,
      key,
      tail: this.tail,
      clusterId: 'c1',
      memberId: 'ab',
      minLeaseTtl: 2,
      keysteadVersion: '1',
      isLeader: () => this.isLeader,
      term: () => cluster.term,
      requestBackup: (reason) => void this.requested.push(reason),
      random: () => '0000000a',
      clock,
      scheduler: {
        every: (_ms, task) => {
          this.#look = task;
          return () => (this.#look = () => undefined);
        },
      },
      logger: { debug: log, info: log, warn: log, error: log },
      counts: this.counts,
    });
  }

  /** Applies the log up to an entry, 100 ms after what was applied before. */
  apply(to = this.cluster.log.length): void {
    this.cluster.nowMs += 100;
    while (this.#applied < to) {
      const entries = this.cluster.log.slice(this.#applied, Math.min(to, this.#applied + 7));
      const count = this.machine.applier.applyBatch(entries);
      this.#applied += count;
      if (count > 0) this.tail.applied(entries, count, this.machine.store);
    }
  }

  /** One interval passes. */
  async tick(): Promise<void> {
    this.cluster.nowMs += INTERVAL_MS;
    this.#look();
    await this.writer.idle();
  }
}
