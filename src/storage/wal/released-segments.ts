import type { LogSnapshot } from '../../ports/log-store.ts';
import type { SegmentName } from './segment-name.ts';

/**
 * In a cluster of several members, so much of the log before a snapshot record stays. After a restart of all members, a
 * leader has only what is in its log, and a member that lags by a few entries would need a snapshot of the whole store.
 */
const KEPT_BYTES = 8 << 20;
/** So many entries are enough, also if they are short: a start reads them all. */
const KEPT_ENTRIES = 2_000;

/**
 * How many of the first segments have only entries up to a snapshot record, so that they can be removed. Some stay for
 * members that lag.
 *
 * @param segments all segments of the log, oldest first
 * @param sizes the bytes of a full segment, and those written to the last one
 */
export function countReleased(
  segments: readonly SegmentName[],
  { index, confState: { voters, learners } }: LogSnapshot,
  { segmentBytes, tailBytes }: { segmentBytes: number; tailBytes: number },
): number {
  const kept = voters.length + learners.length > 1 ? Math.min(KEPT_BYTES, segmentBytes / 2) : 0;
  for (let count = 0; ; count++) {
    const next = segments[count + 1];
    if (next === undefined || next.index > index + 1) return count;
    const bytesAfter = (segments.length - count - 2) * segmentBytes + tailBytes;
    if (bytesAfter < kept && index - next.index < KEPT_ENTRIES) return count;
  }
}
