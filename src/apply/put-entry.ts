import { EntryReader } from './entry-reader.ts';

/** The tag (field number * 8 + wire type) of a put in InternalRaftRequest. */
const REQUEST_PUT = (4 << 3) | 2;

/**
 * A put in a raft log entry, decoded in one pass. Many entries are puts, and an InternalRaftRequest with its thirty
 * fields would cost more than applying the put.
 */
export class PutEntry extends EntryReader {
  /** @returns false unless the entry is one put with its header; other entries need the full decoder */
  read(data: Buffer): boolean {
    return this.readRequest(data, REQUEST_PUT);
  }

  protected override readBody(end: number): boolean {
    this.resetPut();
    return this.readPut(end);
  }
}
