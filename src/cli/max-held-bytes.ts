import type { Config } from '../config/config.ts';
import { availableMemory } from '../config/machine.ts';

/** The default is this fraction of the memory of the machine or of the process limit. */
const FRACTION = 8;
const MIN_BYTES = 128 * 1024 * 1024;

/** Maximum number of bytes buffered for clients: as configured, or a fraction of the memory. */
export function maxHeldBytes(
  { maxHeldBytes: configured }: Pick<Config, 'maxHeldBytes'>,
  memoryBytes = availableMemory(),
): number {
  if (configured > 0) return configured;
  return Math.max(MIN_BYTES, Math.floor(memoryBytes / FRACTION));
}
