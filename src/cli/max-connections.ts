import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.ts';

/** File descriptors for the store's files, the log and the other members. */
const RESERVE = 1024;
const LEAST = 64;

/** How many client connections an address takes: as configured, or as many as the process may have files. */
export function maxConnections(config: Pick<Config, 'maxConnections'>): { maxConnections?: number } {
  if (config.maxConnections > 0) return { maxConnections: config.maxConnections };
  const files = openFileLimit();
  return files === undefined ? {} : { maxConnections: Math.max(LEAST, files - RESERVE) };
}

/** Undefined where the system does not say, or sets no limit. */
function openFileLimit(): number | undefined {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return limit === undefined ? undefined : Number(limit);
  } catch {
    return undefined;
  }
}
