import type { LogDisk } from '../../ports/log-disk.ts';
import { CorruptLogError } from './corrupt-log-error.ts';
import { nodeDisk } from './node-disk.ts';

export interface SegmentName {
  readonly name: string;
  /** Counts segments from 0. */
  readonly sequence: number;
  /** Entries of this index and later ones begin in this segment. */
  readonly index: number;
}

const pattern = /^([0-9a-f]{16})-([0-9a-f]{16})\.wal$/;

const hex16 = (value: number): string => value.toString(16).padStart(16, '0');

export function segmentName(sequence: number, index: number): SegmentName {
  return { name: `${hex16(sequence)}-${hex16(index)}.wal`, sequence, index };
}

export function parseSegmentName(name: string): SegmentName | undefined {
  const match = pattern.exec(name);
  if (match === null) return undefined;
  return { name, sequence: Number.parseInt(match[1] ?? '', 16), index: Number.parseInt(match[2] ?? '', 16) };
}

/**
 * The segments of a log directory in order; empty if there are none or the directory does not exist.
 *
 * @throws CorruptLogError when one is missing in between
 */
export function listSegments(directory: string, disk: LogDisk = nodeDisk): SegmentName[] {
  const segments = disk
    .list(directory)
    .map(parseSegmentName)
    .filter((segment) => segment !== undefined);
  segments.sort((a, b) => a.sequence - b.sequence);
  segments.forEach((segment, n) => {
    const previous = segments[n - 1];
    if (previous !== undefined && previous.sequence + 1 !== segment.sequence) {
      throw new CorruptLogError(segment.name, 0, `the segment before it is missing`);
    }
  });
  return segments;
}
