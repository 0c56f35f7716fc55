import { reasonOf } from '../../lib/text.ts';
import { assert } from '../../lib/assert.ts';
import type { AppliedLog, EntryId } from '../../ports/applied-log.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/logger.ts';
import type { Scheduler } from '../../ports/scheduler.ts';
import type { Entry } from '../../wire/gen/raftpb.ts';
import { readCatalog } from '../catalog.ts';
import type { BackupKey } from '../encryption.ts';
import { PeriodicWork } from '../periodic-work.ts';
import type { BackupPlace } from '../place.ts';
import { basesOf, type Chain, lastSegment, logPlaceOf, readLogCatalog, titleOf } from './chains.ts';
import { readSegment } from './read-segment.ts';
import { SegmentBuilder } from './segment-builder.ts';
import { FORMAT_VERSION } from './segment-format.ts';
import { type ChainId, chainName, type StoredSegment } from './segment-name.ts';

/** A block is encoded in one turn of the event loop. */
const BLOCK_BYTES = 256 << 10;
/** A segment is stored again each time it grows, and is replaced by a new one at this size or age. */
const SEGMENT_BYTES = 1 << 20;
const SEGMENT_MS = 600_000;
/** Failures are logged again after this time. */
const REPEAT_LOG_MS = 60_000;

/** What is counted for metrics. */
export interface LogCounts {
  /** Everything that was applied up to this time is stored, in seconds since 1970. */
  lastSuccessSeconds: number;
  /** Bytes and objects that were written, also those of segments that were written again because they grew. */
  bytes: number;
  segments: number;
  failures: number;
  /** How often the log could not be continued. */
  gaps: number;
}

export interface LogWriterOptions {
  readonly intervalMs: number;
  readonly place: BackupPlace;
  readonly key: BackupKey | undefined;
  readonly tail: AppliedLog;
  /** In hexadecimal. */
  readonly clusterId: string;
  readonly memberId: string;
  readonly minLeaseTtl: number;
  readonly keysteadVersion: string;
  /** Whether this member leads and has applied all entries of earlier terms. */
  readonly isLeader: () => boolean;
  /** Changes with each new leader. */
  readonly term: () => number;
  /** Takes a full backup as soon as possible, because no backup is followed by the log. */
  readonly requestBackup: (reason: string) => void;
  /** 8 hexadecimal digits. */
  readonly random: () => string;
  readonly clock: Clock;
  readonly scheduler: Pick<Scheduler, 'every'>;
  readonly logger: Logger;
  readonly counts: LogCounts;
}

/** The chain that this member writes, and how far it is. */
interface Position {
  readonly term: number;
  readonly chain: ChainId;
  readonly gap: string | undefined;
  /** The last entry in a segment, and the revision at the last mark before it; 0 if it is not known. */
  last: EntryId;
  revision: number;
  segment: SegmentBuilder | undefined;
}

/**
 * Writes the applied entries to the place of the backups, on the leader. A new leader continues the chain of the one
 * before it, if its own log has the last stored entry. Otherwise there is a gap: it begins a new chain and asks for a full
 * backup.
 *
 * A leader that has lost the leadership without knowing may write the same entries as the new one. All of them are
 * committed, so that both segments are right.
 */
export class LogWriter {
  readonly #options: LogWriterOptions;
  readonly #place: BackupPlace;
  readonly #work: PeriodicWork;
  #position: Position | undefined;
  #loggedMs = -Infinity;

  constructor(options: LogWriterOptions) {
    this.#options = options;
    this.#place = logPlaceOf(options.place);
    this.#work = new PeriodicWork(options.scheduler, options.intervalMs, () => this.#start());
  }

  /** Bytes of applied entries that are not stored, roughly. 0 if this member does not lead. */
  get pendingBytes(): number {
    return this.#position === undefined ? 0 : this.#options.tail.bytesAfter(this.#position.last.index);
  }

  /** Resolves when no write is under way. */
  idle(): Promise<void> {
    return this.#work.idle();
  }

  /** Resolves when the write that is under way has ended. */
  stop(): Promise<void> {
    return this.#work.stop();
  }

  #start(): Promise<void> | undefined {
    const { isLeader, tail } = this.#options;
    if (isLeader()) {
      tail.keepOld(true);
      return this.#run();
    }
    this.#position = undefined;
    tail.keepOld(false);
    return undefined;
  }

  async #run(): Promise<void> {
    const { term, clock, counts, logger, place } = this.#options;
    try {
      const now = term();
      if (this.#position?.term !== now) this.#position = await this.#begin(now);
      await this.#write(this.#position);
      this.#loggedMs = -Infinity;
    } catch (error) {
      counts.failures += 1;
      if (clock.now() - this.#loggedMs < REPEAT_LOG_MS) return;
      this.#loggedMs = clock.now();
      logger.error('failed to store the log of the backups', {
        place: place.url,
        error: reasonOf(error),
        'pending-bytes': this.pendingBytes,
      });
    }
  }

  /** Stores everything that was applied when it was called. */
  async #write(position: Position): Promise<void> {
    const { tail, clock, counts } = this.#options;
    const wallMs = clock.wall();
    const end = tail.last.index;
    // What an earlier call could not store.
    await this.#store(position);
    while (position.last.index < end) {
      if (!this.#mayContinue(position)) return;
      const groups = tail.after(position.last.index, BLOCK_BYTES);
      if (groups === undefined) {
        const reason = `the entries from ${position.last.index + 1} to ${tail.base.index} were not stored in time`;
        this.#position = await this.#newChain(position.term, position.chain, reason);
        return;
      }
      const segment = (position.segment ??= this.#newSegment(position));
      await segment.add(groups);
      position.last = segment.last;
      position.revision = segment.revision;
      if (segment.bytes >= SEGMENT_BYTES) await this.#store(position);
    }
    if (!this.#mayContinue(position)) return;
    await this.#store(position);
    counts.lastSuccessSeconds = wallMs / 1000;
  }

  #mayContinue({ term }: Position): boolean {
    const { isLeader, term: now } = this.#options;
    return !this.#work.isStopped && isLeader() && now() === term;
  }

  async #store(position: Position): Promise<void> {
    const { segment } = position;
    if (segment === undefined) return;
    const { tail, clock, counts } = this.#options;
    if (!segment.isStored) {
      counts.bytes += await segment.store(this.#place);
      counts.segments += 1;
      tail.stored(segment.last.index);
    }
    if (segment.bytes >= SEGMENT_BYTES || clock.now() - segment.startedMs >= SEGMENT_MS)
      position.segment = undefined;
  }

  #newSegment({ chain, last, revision, gap }: Position): SegmentBuilder {
    const { key, clusterId, memberId, minLeaseTtl, keysteadVersion, clock } = this.#options;
    const header = {
      formatVersion: FORMAT_VERSION,
      clusterId,
      memberId,
      chain,
      previous: last,
      minLeaseTtl,
      keysteadVersion,
      ...(gap === undefined ? {} : { gap }),
    } as const;
    return new SegmentBuilder(header, { key, revisionBefore: revision, nowMs: clock.now() });
  }

  /** Finds the end of the newest chain of this cluster, and whether the log of this member continues it. */
  async #begin(term: number): Promise<Position> {
    const { clusterId, place, requestBackup, logger, tail } = this.#options;
    const { chains } = await readLogCatalog(this.#place);
    const own = chains.filter((chain) => chain.clusterId === clusterId);
    const newest = own.at(-1);
    if (newest === undefined) return this.#newChain(term, undefined, undefined);
    const end = lastSegment(newest);
    const reason = await this.#whyNot(end);
    if (reason !== undefined) return this.#newChain(term, newest.id, reason);
    const { entries } = await readCatalog(place);
    if (basesOf(newest, own, entries).length === 0)
      requestBackup(`no backup is followed by the ${titleOf(newest)}`);
    logger.info('continuing the log of the backups', {
      chain: chainName(newest.id),
      'last-stored-index': end.last.index,
      'applied-index': tail.last.index,
    });
    const { last, revision } = end;
    tail.stored(last.index);
    return { term, chain: newest.id, gap: undefined, last, revision, segment: undefined };
  }

  /** Why the entries of this member do not continue a segment. Undefined if they do. */
  async #whyNot(end: StoredSegment): Promise<string | undefined> {
    const { tail, key } = this.#options;
    const { index, term } = end.last;
    const { base, last } = tail;
    if (end.keyId !== key?.id) return `the segment ${end.name} has another key`;
    if (index > last.index)
      return `the last stored entry is ${index}, but the leader has applied ${last.index}`;
    if (index < base.index) return `the leader no longer has the entries ${index + 1} to ${base.index}`;
    const held = index === base.index ? base : tail.entryAt(index);
    assert(held !== undefined, 'the tail has the entries after its base');
    if (held.term !== term)
      return `the stored entry ${index} has term ${term}, but the leader has one of term ${held.term}`;
    let stored: Entry | undefined;
    try {
      const segment = await readSegment({ place: this.#place, key }, end);
      for (const record of segment.records()) if (record.kind === 'entry') stored = record.entry;
    } catch (error) {
      // A place that cannot be reached is tried again; a segment that can be read and is damaged is not continued.
      await this.#place.list();
      return reasonOf(error);
    }
    if (stored?.index !== index || stored.term !== term)
      return `the segment ${end.name} does not end with entry ${index}`;
    const data = tail.entryAt(index)?.data ?? stored.data;
    const isEqual = Buffer.compare(data ?? Buffer.alloc(0), stored.data ?? Buffer.alloc(0)) === 0;
    return isEqual ? undefined : `the stored entry ${index} is not that of the leader`;
  }

  /** @param gap why the chain before it cannot be continued; undefined if there is none */
  async #newChain(term: number, before: Chain['id'] | undefined, gap: string | undefined): Promise<Position> {
    const { tail, random, counts, logger, requestBackup, clusterId, place } = this.#options;
    const sequence = (before?.sequence ?? 0) + 1;
    const chain = { sequence, random: random() };
    const last = tail.base;
    const { entries } = await readCatalog(place);
    if (gap === undefined) {
      logger.info('beginning the log of the backups', { chain: chainName(chain), 'after-index': last.index });
    } else {
      counts.gaps += 1;
      logger.warn('the log of the backups has a gap; taking a full backup', {
        reason: gap,
        chain: chainName(chain),
        'after-index': last.index,
      });
    }
    const hasBase = entries.some(
      ({ fault, manifest }) =>
        fault === undefined &&
        manifest.clusterId === clusterId &&
        gap === undefined &&
        manifest.applied !== undefined &&
        manifest.applied.index >= last.index &&
        manifest.applied.index <= tail.last.index,
    );
    if (!hasBase) requestBackup(gap ?? 'the log of the backups begins');
    return { term, chain, gap, last, revision: 0, segment: undefined };
  }
}
