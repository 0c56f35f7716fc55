import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Entry } from '../../wire/gen/raftpb.ts';
import { CorruptLogError } from './corrupt-log-error.ts';
import type { EntryPlace } from './entry-places.ts';
import { frameHeaderBytes, readFrameSize, readRecord, RecordType } from './record.ts';
import type { SegmentName } from './segment-name.ts';

const chunkBytes = 1 << 20;

export interface EntryQuery {
  readonly directory: string;
  readonly segments: readonly SegmentName[];
  /** Where to begin: at or before entry `from`. */
  readonly place: EntryPlace;
  /** Where the synced records end. */
  readonly end: EntryPlace;
  /** From here on no entry replaces an earlier one, so reading may stop as soon as there is enough. */
  readonly settled: EntryPlace;
  readonly from: number;
  readonly to: number;
  readonly maxBytes: number;
}

/** Collects entries in log order; one with a known index replaces it and what followed it. */
class EntryCollector {
  readonly entries: Entry[] = [];
  readonly #query: EntryQuery;
  #bytes = 0;

  constructor(query: EntryQuery) {
    this.#query = query;
  }

  get isFull(): boolean {
    const { from, to, maxBytes } = this.#query;
    return this.entries.length >= to - from || this.#bytes > maxBytes;
  }

  add(bytes: Buffer): void {
    const entry = Entry.decode(bytes);
    const position = entry.index - this.#query.from;
    while (this.entries.length > Math.max(position, 0)) this.#bytes -= this.entries.pop()?.data?.length ?? 0;
    if (position !== this.entries.length || entry.index >= this.#query.to || this.isFull) return;
    this.entries.push(entry.data === undefined ? entry : { ...entry, data: Buffer.from(entry.data) });
    this.#bytes += entry.data?.length ?? 0;
  }

  /** The entries, cut where they pass the byte limit. */
  take(): Entry[] {
    if (this.#bytes > this.#query.maxBytes && this.entries.length > 1) this.entries.pop();
    return this.entries;
  }
}

async function readChunk(file: FileHandle, at: number, length: number): Promise<Buffer> {
  const chunk = Buffer.allocUnsafe(length);
  const { bytesRead } = await file.read(chunk, 0, length, at);
  return chunk.subarray(0, bytesRead);
}

/** Hands the records at [start, limit) of a segment to `visit` until it returns false or they end. */
async function eachRecord(
  file: FileHandle,
  name: string,
  range: { start: number; limit: number },
  visit: (type: RecordType, data: Buffer, offset: number) => boolean,
): Promise<void> {
  let wanted = chunkBytes;
  for (let at = range.start; at + frameHeaderBytes <= range.limit;) {
    const chunk = await readChunk(file, at, Math.min(wanted, range.limit - at));
    wanted = chunkBytes;
    let used = 0;
    while (used + frameHeaderBytes <= chunk.length) {
      const size = readFrameSize(chunk, used);
      if (size === undefined) return;
      const start = used + frameHeaderBytes;
      const next = start + size.recordBytes + size.paddingBytes;
      if (next > chunk.length) {
        wanted = Math.max(chunkBytes, next - used);
        break;
      }
      const record = readRecord(chunk, start, start + size.recordBytes);
      if (record === undefined) throw new CorruptLogError(name, at + used, 'not a record');
      if (!visit(record.type, chunk.subarray(record.start, record.end), at + used)) return;
      used = next;
    }
    if (used === 0 && wanted <= chunk.length) throw new CorruptLogError(name, at, 'not a record');
    if (used === 0 && chunk.length === range.limit - at) return;
    at += used;
  }
}

/** Reads entries [from, to) back from segment files. */
export async function readEntries(query: EntryQuery): Promise<Entry[]> {
  const { directory, segments, place, end, settled } = query;
  const collector = new EntryCollector(query);
  for (const { name, sequence } of segments) {
    if (sequence < place.segment || sequence > end.segment) continue;
    if (collector.isFull && sequence > settled.segment) break;
    const file = await open(join(directory, name), 'r');
    try {
      const start = sequence === place.segment ? place.offset : 0;
      const limit = sequence === end.segment ? end.offset : (await file.stat()).size;
      await eachRecord(file, name, { start, limit }, (type, data, offset) => {
        if (type === RecordType.entry) collector.add(data);
        const isSettled =
          sequence > settled.segment || (sequence === settled.segment && offset >= settled.offset);
        return !(isSettled && collector.isFull);
      });
    } finally {
      await file.close();
    }
  }
  return collector.take();
}
