import { randomBytes } from 'node:crypto';
import { open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { reasonOf } from '../../lib/text.ts';
import { type Diagnosis, good, problem, warning } from './diagnosis.ts';

/** As the log of a busy member. */
const WRITE_BYTES = 2048;
const MAX_SYNCS = 300;
/** The file is filled before, as the segments of the log are, so that a sync does not change its size. */
const FILE_BYTES = WRITE_BYTES * MAX_SYNCS;
const TEST_MS = 2_000;
/** A sync that takes longer is not waited for. */
const LIMIT_MS = 10_000;

/** etcd recommends a 99th percentile below 10 ms. */
const SLOW_MS = 10;
/** A leader with such a disk misses heartbeats of the default interval. */
const TOO_SLOW_MS = 100;

const HINT =
  'use a local SSD for the log and the store, or --wal-dir on a faster disk; look for other programs that write to it';

/** The times of the syncs in milliseconds, in any order; a string for the reason of a failure. */
export type SyncTimes = readonly number[] | string;

/** Judges the times of syncs. @param subject the disk, such as `disk of /var/lib/etcd` */
export function judgeSyncs(subject: string, times: SyncTimes): Diagnosis {
  if (typeof times === 'string') return problem(subject, times, 'run the command as the user of the server');
  const sorted = [...times].sort((a, b) => a - b);
  const [median, p99] = [quantile(sorted, 0.5), quantile(sorted, 0.99)];
  const text = `${sorted.length} syncs, median ${median.toFixed(1)} ms, 99th percentile ${p99.toFixed(1)} ms`;
  if (sorted.length === 0)
    return problem(subject, `the first sync did not end within ${LIMIT_MS / 1000} seconds`, HINT);
  if (median >= TOO_SLOW_MS || p99 >= 10 * TOO_SLOW_MS)
    return problem(subject, `far too slow: ${text}`, HINT);
  return p99 >= SLOW_MS ? warning(subject, `slow: ${text}`, HINT) : good(subject, text);
}

function quantile(sorted: readonly number[], fraction: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? 0;
}

/**
 * Writes to a new file in the directory, syncs it after each write as the log does, and removes it. Takes about two
 * seconds, and at most ten.
 */
export async function measureSyncs(directory: string): Promise<SyncTimes> {
  const times: number[] = [];
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, LIMIT_MS);
  });
  try {
    await Promise.race([writeAndSync(directory, times), limit]);
    return [...times];
  } catch (error) {
    return `cannot be tested: ${reasonOf(error)}`;
  } finally {
    clearTimeout(timer);
  }
}

async function writeAndSync(directory: string, times: number[]): Promise<void> {
  const path = join(directory, `.keystead-doctor-${randomBytes(8).toString('hex')}.tmp`);
  const file = await open(path, 'wx', 0o600);
  try {
    await file.write(Buffer.alloc(FILE_BYTES));
    await file.sync();
    const piece = Buffer.alloc(WRITE_BYTES, 'k');
    const endMs = performance.now() + TEST_MS;
    for (let at = 0; at < MAX_SYNCS && performance.now() < endMs; at += 1) {
      await file.write(piece, 0, piece.length, at * piece.length);
      const startedMs = performance.now();
      await file.datasync();
      times.push(performance.now() - startedMs);
    }
  } finally {
    await file.close();
    await unlink(path);
  }
}
