import type { FlagName } from './flags.ts';
import { MAX_SERVING_THREADS } from './limits.ts';
import type { FlagValues } from './value-kinds.ts';

/** Node.js has `reusePort` for listeners since 22.12 and 23.1. */
export function hasReusePort(nodeVersion: string): boolean {
  const [major = 0, minor = 0] = nodeVersion.split('.').map(Number);
  return major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
}

/**
 * The server refuses to start with a flag that this Node.js cannot serve: that is safer than to ignore it silently.
 *
 * @returns an error text, or undefined
 */
export function unsupportedFlagFault(values: FlagValues, nodeVersion: string): string | undefined {
  const given = values['keystead-serving-threads'];
  const threads = given === 'auto' ? 0 : given;
  if (threads > MAX_SERVING_THREADS)
    return `--keystead-serving-threads is at most ${MAX_SERVING_THREADS}, and is ${threads}`;
  if (hasReusePort(nodeVersion)) return undefined;
  const needs = 'needs Node.js 22.12 or later, and this is';
  if (values['socket-reuse-port']) return `--socket-reuse-port ${needs} ${nodeVersion}`;
  // Each thread listens on the same port.
  if (threads > 1) return `--keystead-serving-threads above 1 ${needs} ${nodeVersion}`;
  return undefined;
}

/** Flags that apply only to etcd's own store and log. They are accepted with a warning and have no effect. */
export const flagsWithoutEffect: ReadonlySet<FlagName> = new Set([
  'backend-bbolt-freelist-type',
  'backend-batch-interval',
  'backend-batch-limit',
  'bootstrap-defrag-threshold-megabytes',
  'max-snapshots',
  'max-wals',
  // It locks the memory of the database file, which etcd maps as a whole.
  'memory-mlock',
  'unsafe-no-fsync',
]);
