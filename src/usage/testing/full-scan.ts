import { decodeEventRow } from '../../mvcc/event-row.ts';
import { REVISION_OVERHEAD_BYTES } from '../../mvcc/store.ts';
import type { Engine } from '../../ports/engine.ts';
import { KeyValue } from '../../wire/gen/mvccpb.ts';
import { EMPTY } from '../../wire/reader.ts';

/** Keys and bytes of one label. */
export interface ScannedUsage {
  keys: number;
  bytes: number;
  historyBytes: number;
}

/**
 * Counts keys and bytes from all stored events, and not from the indexes that the server counts by.
 *
 * @param labelOf the label of a key, without the code under test
 */
export function fullScan(engine: Engine, labelOf: (key: string) => string): Record<string, ScannedUsage> {
  const revisions = new Map<string, { size: number; isDelete: boolean }[]>();
  const rows = engine.iterate('event', { gte: EMPTY });
  for (let chunk = rows.next(1000); chunk.length > 0; chunk = rows.next(1000)) {
    for (let at = 1; at < chunk.length; at += 2) {
      const { kv, isDelete } = decodeEventRow(chunk[at] ?? EMPTY);
      const key = KeyValue.decode(kv).key.toString('latin1');
      const size = kv.length + REVISION_OVERHEAD_BYTES;
      revisions.set(key, [...(revisions.get(key) ?? []), { size, isDelete }]);
    }
  }
  rows.close();
  const found: Record<string, ScannedUsage> = {};
  for (const [key, all] of revisions) {
    const usage = (found[labelOf(key)] ??= { keys: 0, bytes: 0, historyBytes: 0 });
    const last = all.at(-1);
    for (const { size } of all) usage.bytes += size;
    usage.historyBytes += all.reduce((sum, { size }) => sum + size, 0);
    if (last === undefined || last.isDelete) continue;
    usage.keys += 1;
    usage.historyBytes -= last.size;
  }
  return found;
}
