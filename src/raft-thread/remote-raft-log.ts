import { defined } from '../lib/assert.ts';
import type { LogSnapshot } from '../ports/log-store.ts';
import type { RaftLog } from '../server/consensus.ts';
import { ConfState } from '../wire/gen/raftpb.ts';
import { Snapshot } from '../wire/gen/walpb.ts';
import type { RaftLink } from './raft-link.ts';
import { type RaftFigures, ToRaft } from './records.ts';

/** The log of a raft in another thread. */
export class RemoteRaftLog implements RaftLog {
  readonly #link: RaftLink;
  readonly #schedule: () => void;
  /** Requests to release the log on disk, by number. */
  readonly #releases = new Map<number, () => void>();
  #requests = 0;
  #firstIndex: number;
  room = Infinity;
  unreleasedBytes = 0;

  constructor(link: RaftLink, firstIndex: number, schedule: () => void) {
    this.#link = link;
    this.#firstIndex = firstIndex;
    this.#schedule = schedule;
  }

  /** The index after the entries that raft was asked to remove; it may keep some of them. */
  get firstIndex(): number {
    return this.#firstIndex;
  }

  noted({ room, unreleasedBytes, firstIndex }: RaftFigures): void {
    this.room = room;
    this.unreleasedBytes = unreleasedBytes;
    this.#firstIndex = Math.max(this.#firstIndex, firstIndex);
  }

  released(request: number): void {
    const release = defined(this.#releases.get(request), 'a release was asked for');
    this.#releases.delete(request);
    release();
  }

  release(snapshot: LogSnapshot): Promise<void> {
    this.#requests += 1;
    const bytes = Snapshot.encode(snapshot);
    const out = this.#link.record(ToRaft.RELEASE);
    out.u32(this.#requests);
    out.bytes(bytes, bytes.length);
    this.#schedule();
    return new Promise((resolve) => this.#releases.set(this.#requests, resolve));
  }

  removeUpTo(upTo: number, { index, confState }: Pick<LogSnapshot, 'index' | 'confState'>): void {
    const bytes = ConfState.encode(confState);
    const out = this.#link.lateRecord(ToRaft.REMOVE);
    out.f64(upTo);
    out.f64(index);
    out.bytes(bytes, bytes.length);
    this.#link.late();
    this.#firstIndex = Math.max(this.#firstIndex, upTo + 1);
  }
}
