import type { Machine } from './machine.ts';
import { hasReusePort } from './unsupported-flags.ts';
import type { EndpointUrl } from './urls.ts';

/** Cores for the main thread, and for the disk, RocksDB's background work and V8's threads. */
const OTHER_CORES = 2;
/** More help little, because the main thread is busy then; each needs about 20 MB. */
const MOST_THREADS = 4;
/** All connections would share a single one, which answers half as many gets as the main thread does without it. */
const FEWEST_THREADS = 2;
/** So the threads take less than a tenth of the memory when they are idle. */
const MEMORY_OF_A_THREAD = 256 * 1024 * 1024;

export interface ChosenThreads {
  readonly threads: number;
  /** For the log. */
  readonly reason: string;
}

/** The number of serving threads if none is given. It never lets a start fail that would succeed without threads. */
export function defaultServingThreads(
  { platform, nodeVersion, processors, cpuQuota = Infinity, memoryBytes }: Machine,
  clientUrls: readonly EndpointUrl[],
): ChosenThreads {
  const none = (reason: string): ChosenThreads => ({ threads: 0, reason });
  const ofCores = Math.floor(Math.min(processors, cpuQuota)) - OTHER_CORES;
  if (ofCores < FEWEST_THREADS) return none('fewer than four cores');
  if (platform !== 'linux') return none('only Linux spreads the connections of a port over threads');
  if (!hasReusePort(nodeVersion)) return none('several threads need Node.js 22.12 or later');
  if (clientUrls.every(({ socketPath }) => socketPath !== undefined))
    return none('only one thread can serve a socket of the file system');
  // Each thread would get a port of its own.
  if (clientUrls.some(({ port }) => port === '0')) return none('the system chooses the port');
  const ofMemory = Math.floor(memoryBytes / MEMORY_OF_A_THREAD);
  if (ofMemory < FEWEST_THREADS) return none('less than 512 MiB of memory');
  if (ofMemory < Math.min(ofCores, MOST_THREADS))
    return { threads: ofMemory, reason: 'one for 256 MiB of memory' };
  if (ofCores > MOST_THREADS) return { threads: MOST_THREADS, reason: 'more help little' };
  return { threads: ofCores, reason: 'all cores but two' };
}
