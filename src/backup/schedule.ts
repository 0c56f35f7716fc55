import { reasonOf } from '../lib/text.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import { type Catalog, readCatalog } from './catalog.ts';
import type { Manifest } from './manifest.ts';
import { PeriodicWork } from './periodic-work.ts';
import type { BackupPlace } from './place.ts';
import { newestGood } from './retention.ts';

/** How often the leader looks whether a backup is due: a part of the interval, within these bounds. */
const LOOKS_PER_INTERVAL = 10;
const MIN_LOOK_MS = 250;
const MAX_LOOK_MS = 5_000;
/** Pause after a failure. It doubles up to the interval. */
const FIRST_RETRY_MS = 30_000;
/** After a backup, requested ones pause for so many times its duration, so that they never follow each other all the time. */
const PAUSE_DURATIONS = 4;

/** What is counted for metrics. */
export interface ScheduleCounts {
  lastSuccessSeconds: number;
  lastSizeBytes: number;
  lastVerifiedSeconds: number;
  lastDurationSeconds: number;
  failures: number;
  inProgress: number;
}

export interface ScheduleOptions {
  readonly intervalMs: number;
  readonly place: BackupPlace;
  /** Whether this member leads. Only then it takes backups. */
  readonly isLeader: () => boolean;
  /** Changes with each new leader. */
  readonly term: () => number;
  /** Resolves when a majority confirms that this member still leads. */
  readonly confirmLeader: () => Promise<void>;
  /** Takes a backup. `mayContinue` throws when it is to be given up. */
  readonly take: (mayContinue: () => void) => Promise<Manifest>;
  /** Removes old backups. Returns their names. */
  readonly prune: () => Promise<readonly string[]>;
  readonly clock: Clock;
  readonly scheduler: Pick<Scheduler, 'every'>;
  readonly logger: Logger;
  readonly counts: ScheduleCounts;
}

/**
 * Takes a backup each interval, on the leader. A new leader first reads which backups there are. So a change of the
 * leader neither repeats a backup nor skips one. A member that stops to be the leader gives up its backup. One member
 * never takes two backups at the same time.
 */
export class BackupSchedule {
  readonly #options: ScheduleOptions;
  readonly #work: PeriodicWork;
  /** The term in which the backups were last read; undefined if this member does not lead. */
  #knownTerm: number | undefined;
  /** By the monotonic clock, which does not step. */
  #dueMs = 0;
  #retryMs = FIRST_RETRY_MS;
  #isRequested = false;
  /** A requested backup does not begin before this time. */
  #requestedFromMs = -Infinity;

  constructor(options: ScheduleOptions) {
    this.#options = options;
    const lookMs = Math.min(MAX_LOOK_MS, Math.max(MIN_LOOK_MS, options.intervalMs / LOOKS_PER_INTERVAL));
    this.#work = new PeriodicWork(options.scheduler, lookMs, () => this.#start());
  }

  /** Takes a backup as soon as possible: after the one that is under way and a pause, or when a failed one is retried. */
  request(reason: string): void {
    this.#options.logger.info('a backup is needed before the next one is due', { reason });
    this.#isRequested = true;
  }

  /** Resolves when no backup is under way. */
  idle(): Promise<void> {
    return this.#work.idle();
  }

  /** Gives up a backup that is under way, and resolves when it has ended. */
  stop(): Promise<void> {
    return this.#work.stop();
  }

  #start(): Promise<void> | undefined {
    const { isLeader, term, clock } = this.#options;
    if (!isLeader()) {
      this.#knownTerm = undefined;
      return undefined;
    }
    if (this.#knownTerm === term() && clock.now() < this.#dueMs && !this.#isRequestDue()) return undefined;
    return this.#run();
  }

  #isRequestDue(): boolean {
    return this.#isRequested && this.#options.clock.now() >= this.#requestedFromMs;
  }

  async #run(): Promise<void> {
    const { term, clock, place, logger, counts, intervalMs } = this.#options;
    const startedMs = clock.now();
    try {
      const now = term();
      if (this.#knownTerm !== now) {
        this.#read(await readCatalog(place));
        this.#knownTerm = now;
        if (clock.now() < this.#dueMs && !this.#isRequestDue()) return;
      }
      await this.#takeOne(now);
      this.#retryMs = FIRST_RETRY_MS;
      this.#dueMs = startedMs + intervalMs;
      this.#requestedFromMs = clock.now() + PAUSE_DURATIONS * (clock.now() - startedMs);
    } catch (error) {
      const retryMs = Math.min(this.#retryMs, intervalMs);
      this.#dueMs = clock.now() + retryMs;
      this.#requestedFromMs = this.#dueMs;
      this.#retryMs *= 2;
      if (error instanceof GivenUpError) {
        logger.info('gave up a backup', { reason: error.message });
        return;
      }
      counts.failures += 1;
      logger.error('failed to take a backup', {
        place: place.url,
        error: reasonOf(error),
        'retry-after-ms': retryMs,
      });
    } finally {
      counts.inProgress = 0;
    }
  }

  async #takeOne(term: number): Promise<void> {
    const { isLeader, confirmLeader, take, prune, clock, place, logger, counts } = this.#options;
    const mayContinue = (): void => {
      if (this.#work.isStopped) throw new GivenUpError('this member stops');
      if (!isLeader() || this.#options.term() !== term) throw new GivenUpError('this member no longer leads');
    };
    await confirmLeader();
    mayContinue();
    const startedMs = clock.now();
    counts.inProgress = 1;
    this.#isRequested = false;
    logger.info('taking a backup', { place: place.url });
    const { id, revision, bytes } = await take(mayContinue);
    counts.lastDurationSeconds = (clock.now() - startedMs) / 1000;
    logger.info('took and verified a backup', { id, revision, bytes, took: `${clock.now() - startedMs}ms` });
    const removed = await prune();
    if (removed.length > 0) logger.info('removed old backups', { removed });
    this.#note(await readCatalog(place));
  }

  /** Sets when the next backup is due, from the newest one. One with a time in the future does not count. */
  #read(catalog: Catalog): void {
    this.#note(catalog);
    const { clock, intervalMs } = this.#options;
    const newest = newestGood(catalog.entries);
    const ageMs = newest === undefined ? -1 : clock.wall() - Date.parse(newest.manifest.time);
    const isRecent = newest?.fault === undefined && ageMs >= 0 && ageMs < intervalMs;
    this.#dueMs = clock.now() + (isRecent ? intervalMs - ageMs : 0);
  }

  #note({ entries }: Catalog): void {
    const { counts } = this.#options;
    const newest = newestGood(entries);
    if (newest?.fault !== undefined || newest === undefined) return;
    counts.lastSuccessSeconds = Date.parse(newest.manifest.time) / 1000;
    counts.lastSizeBytes = newest.manifest.bytes;
    const proofs = entries.flatMap(({ manifest: { verifiedAt } }) =>
      verifiedAt === undefined ? [] : [Date.parse(verifiedAt)],
    );
    counts.lastVerifiedSeconds = proofs.reduce((latest, each) => Math.max(latest, each), 0) / 1000;
  }
}

class GivenUpError extends Error {}
