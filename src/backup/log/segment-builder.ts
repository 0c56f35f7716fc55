import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { constants, createGzip, gzip } from 'node:zlib';
import type { AppliedGroup, AppliedMark, EntryId } from '../../ports/applied-log.ts';
import { defined } from '../../lib/assert.ts';
import { type BackupKey, encrypted } from '../encryption.ts';
import { type BackupPlace, onePart } from '../place.ts';
import { encodeRecords, LENGTH_BYTES, MAGIC, type SegmentHeader } from './segment-format.ts';
import { type SegmentInfo, segmentName } from './segment-name.ts';

const compress = promisify(gzip);
const GZIP = { level: constants.Z_BEST_SPEED };
/** Larger blocks are compressed as a stream, so that they are not copied on the event loop. */
const COPIED_BYTES = 1 << 20;

/** A segment that grows: the compressed blocks so far, in memory. */
export class SegmentBuilder {
  readonly header: SegmentHeader;
  readonly startedMs: number;
  readonly #key: BackupKey | undefined;
  readonly #parts: Buffer[];
  readonly #hash = createHash('sha256');
  readonly #revisionBefore: number;
  #bytes = 0;
  #firstTimeMs: number | undefined;
  #last: EntryId;
  #revision: number;
  #lastTimeMs = 0;
  /** The name under which it was last stored. */
  #storedAs: string | undefined;
  #isStored = true;

  /** @param revisionBefore 0 if it is not known */
  constructor(
    header: SegmentHeader,
    { key, revisionBefore, nowMs }: { key: BackupKey | undefined; revisionBefore: number; nowMs: number },
  ) {
    this.header = header;
    this.startedMs = nowMs;
    this.#key = key;
    this.#last = header.previous;
    this.#revisionBefore = revisionBefore;
    this.#revision = revisionBefore;
    const json = Buffer.from(JSON.stringify(header));
    this.#parts = [];
    this.#push(MAGIC, lengthOf(json), json);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The last entry. */
  get last(): EntryId {
    return this.#last;
  }

  /** The revision at the last mark. */
  get revision(): number {
    return this.#revision;
  }

  /** Whether all its entries are in the place. */
  get isStored(): boolean {
    return this.#isStored;
  }

  /** Adds the entries that follow as one block. The compression runs in the thread pool. */
  async add(groups: readonly AppliedGroup[]): Promise<void> {
    const block = await compressed([...encodeRecords(groups)]);
    this.#isStored = false;
    this.#push(lengthOf(block), block);
    for (const { mark, entries } of groups) this.#note(mark, defined(entries.at(-1), 'a group has entries'));
  }

  #note(mark: AppliedMark, { index, term }: EntryId): void {
    this.#firstTimeMs ??= mark.timeMs;
    this.#last = { index, term };
    this.#lastTimeMs = mark.timeMs;
    // The state is known only after the last entry of the mark.
    if (index === mark.index) this.#revision = mark.revision;
  }

  /**
   * Stores the segment, and then removes the shorter one that was stored before.
   *
   * @returns the number of stored bytes
   */
  async store(place: BackupPlace): Promise<number> {
    const key = this.#key;
    const name = segmentName(this.#info());
    const end = lengthOf(Buffer.alloc(0));
    const sha256 = this.#hash.copy().update(end).digest();
    const plain = [...this.#parts, end, sha256];
    // One part per turn of the event loop.
    const parts = key === undefined ? onePart(Buffer.concat(plain)) : encrypted(each(plain), key, name);
    await place.put(name, parts);
    this.#isStored = true;
    const before = this.#storedAs;
    this.#storedAs = name;
    if (before !== undefined && before !== name) await place.remove(before);
    return this.#bytes;
  }

  #info(): SegmentInfo {
    const { clusterId, chain, previous } = this.header;
    return {
      clusterId,
      chain,
      first: previous.index + 1,
      last: this.#last,
      revisionBefore: this.#revisionBefore,
      revision: this.#revision,
      firstTimeMs: this.#firstTimeMs ?? 0,
      lastTimeMs: this.#lastTimeMs,
      keyId: this.#key?.id,
    };
  }

  #push(...parts: Buffer[]): void {
    for (const part of parts) {
      this.#parts.push(part);
      this.#hash.update(part);
      this.#bytes += part.length;
    }
  }
}

async function* each(parts: readonly Buffer[]): AsyncGenerator<Buffer, void> {
  for (const part of parts) {
    await Promise.resolve();
    yield part;
  }
}

function lengthOf(bytes: Buffer): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(bytes.length, 0);
  return length;
}

async function compressed(parts: readonly Buffer[]): Promise<Buffer> {
  const size = parts.reduce((sum, { length }) => sum + length, 0);
  if (size <= COPIED_BYTES) return compress(Buffer.concat(parts), GZIP);
  const stream = createGzip(GZIP);
  const writing = (async (): Promise<void> => {
    for (const part of parts)
      if (!stream.write(part)) await new Promise((resolve) => stream.once('drain', resolve));
    stream.end();
  })();
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  await writing;
  return Buffer.concat(chunks);
}
