import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.ts';

/** File descriptors reserved for the store, the log and the peer connections. */
const RESERVE = 1024;
const MIN_CONNECTIONS = 64;

/** Maximum number of client connections per listener: as configured, or from the limit of open files. */
export function maxConnections(config: Pick<Config, 'maxConnections'>): { maxConnections?: number } {
  if (config.maxConnections > 0) return { maxConnections: config.maxConnections };
  const files = openFileLimit();
  return files === undefined ? {} : { maxConnections: Math.max(MIN_CONNECTIONS, files - RESERVE) };
}

/** Returns undefined if the limit is unknown or not set. */
function openFileLimit(): number | undefined {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return limit === undefined ? undefined : Number(limit);
  } catch {
    return undefined;
  }
}
