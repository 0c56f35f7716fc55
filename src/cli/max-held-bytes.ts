import { totalmem } from 'node:os';
import type { Config } from '../config/config.ts';

/** Of the machine's memory, or of what the process may have of it. */
const SHARE = 8;
const LEAST_BYTES = 128 * 1024 * 1024;

/** How much is held for clients: as configured, or a share of the memory there is. */
export function maxHeldBytes(
  { maxHeldBytes: configured }: Pick<Config, 'maxHeldBytes'>,
  memoryBytes = availableMemory(),
): number {
  if (configured > 0) return configured;
  return Math.max(LEAST_BYTES, Math.floor(memoryBytes / SHARE));
}

function availableMemory(): number {
  // Without a limit on the process this is 0, or more than any machine has.
  const allowed = process.constrainedMemory();
  return allowed > 0 ? Math.min(allowed, totalmem()) : totalmem();
}
