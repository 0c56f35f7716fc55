import { assert } from '../lib/assert.ts';
import type { AuthInfo } from '../auth/auth-store.ts';
import type { UnaryCall } from '../grpc/unary-call.ts';
import type { ByteSource } from '../http2/stream.ts';
import { isGet, type RangeOptions } from '../mvcc/range-options.ts';
import type { RangeResult } from '../mvcc/range-scan.ts';
import { RevisionGoneError } from '../mvcc/revision-reads.ts';
import { EngineReopenedError } from '../ports/engine.ts';
import type { Member } from '../server/member.ts';
import { getResponse } from '../wire/get-response.ts';
import { EMPTY } from '../wire/reader.ts';
import { varintSize, writeVarint } from '../wire/varint.ts';
import { failCall, type ServiceContext } from './service-context.ts';
import type { TimedRead } from './timed-read.ts';

/** Keys visited in one slice: some tenths of a millisecond. */
export const KEYS_PER_SLICE = 128;
/** Bytes of values read and sent in one slice: the same. */
export const BYTES_PER_SLICE = 128 * 1024;
/** Responses up to this size are made at once; larger ones as the client takes them. */
const AT_ONCE_BYTES = 128 * 1024;

const MORE_FIELD = Buffer.from([0x18, 0x01]);
const COUNT_TAG = 0x20;

interface AnsweredRange {
  readonly options: RangeOptions;
  readonly caller: AuthInfo;
  readonly timed: TimedRead;
}

/** Scans in slices and sends the result. If users or roles have changed during the scan, it fails instead. */
export function answerRange(
  context: ServiceContext,
  call: UnaryCall,
  { options, caller, timed }: AnsweredRange,
): void {
  const { member } = context;
  const header = context.header();
  member.metrics.mvcc.rangeTotal++;
  const { revision } = member.store;
  timed.permitted();
  if (isGet(options, revision) && answerGet(member, call, { key: options.range.start, header, timed }))
    return;
  const scan = member.store.scan(options);
  const seen = readRevision(member, options.revision);
  const scanned = (): void => {
    const result = scan.result();
    member.durations.range(timed.found({ count: result.length, revision }) / 1000, true);
    respond(context, call, { header, seen, result });
  };
  if (scan.step(KEYS_PER_SLICE)) {
    scanned();
    return;
  }
  const step = (): void => {
    try {
      if (call.ended) scan.cancel();
      else if (scan.step(KEYS_PER_SLICE)) {
        const refused = member.auth.checkCurrent(caller);
        if (refused !== undefined) throw refused;
        scanned();
      } else {
        member.longReads.soon(step);
      }
    } catch (error) {
      scan.cancel();
      failCall(call, error);
    }
  };
  member.longReads.soon(step);
}

interface AnsweredGet {
  readonly key: Buffer;
  readonly header: Buffer;
  readonly timed: TimedRead;
}

/** Answers a range that is one key's current value. False if the value is so large that it is sent in slices. */
function answerGet(
  { store, durations }: Member,
  call: UnaryCall,
  { key, header, timed }: AnsweredGet,
): boolean {
  const keyValue = store.readKey(key, AT_ONCE_BYTES);
  if (keyValue === 'large') return false;
  const count = keyValue === undefined ? 0 : 1;
  durations.range(timed.found({ count, revision: store.revision }) / 1000, true);
  if (keyValue === undefined) call.respond(header, header.length);
  else call.respond(getResponse(header, keyValue));
  return true;
}

/** The revision at which a range is read. */
export function readRevision({ store }: Pick<Member, 'store'>, asked: number): number {
  return asked > 0 ? asked : store.revision;
}

interface Found {
  readonly header: Buffer;
  /** The revision that was read. */
  readonly seen: number;
  readonly result: RangeResult;
}

function respond(context: ServiceContext, call: UnaryCall, found: Found): void {
  const { header, result } = found;
  const tail = encodeTail(result);
  const total = header.length + result.fieldBytes + tail.length;
  if (total <= AT_ONCE_BYTES) {
    const parts = [header];
    while (!result.isRead) parts.push(...result.readFields(AT_ONCE_BYTES));
    parts.push(tail);
    call.respond(parts, total);
    return;
  }
  respondLarge(context, call, { ...found, tail, total });
}

interface LargeResponse extends Found {
  readonly tail: Buffer;
  readonly total: number;
}

/** Reads the values as fast as the client takes them. Until the end, compaction keeps the revisions that it needs. */
function respondLarge(
  context: ServiceContext,
  call: UnaryCall,
  { header, seen, result, tail, total }: LargeResponse,
): void {
  const { member } = context;
  const hold = member.compactor.hold(seen, () => call.abort());
  const generation = member.storeGeneration;
  const source = new SlicedResponse(context, {
    header,
    result,
    tail,
    ready: () => call.sourceReady(),
    failed: () => {
      hold.release();
      // The announced message cannot be completed. If the store was replaced, only the end of the connection shows that.
      if (member.storeGeneration === generation) call.abort();
      else call.session.destroy();
    },
    used: () => hold.used(),
    isOver: () => member.storeGeneration !== generation,
    ended: () => hold.release(),
  });
  call.respondStream(total, source);
}

export interface SlicedParts {
  /** Encoded fields before and after the KeyValues; may be empty. */
  readonly header: Buffer;
  readonly tail: Buffer;
  readonly result: RangeResult;
  /** Called when the next slice can be read. */
  readonly ready: () => void;
  /** Called when the rest of the response cannot be read. */
  readonly failed: () => void;
  /** Called when the client has read a slice. */
  readonly used: () => void;
  /** Whether the store of the result was replaced. */
  readonly isOver: () => boolean;
  /** Called when all values are read or the client no longer reads. May be called twice. */
  readonly ended: () => void;
  /** Called in a later turn after the stream has read the last slice. */
  readonly taken?: () => void;
}

/**
 * A response whose values are read in slices, as fast as the client reads and the event loop allows. A requested slice is
 * sent at once, so that its sending counts as time of the slice.
 */
export class SlicedResponse implements ByteSource {
  readonly #context: ServiceContext;
  readonly #parts: SlicedParts;
  #next: Buffer[] | undefined;
  /** Whether a slice is requested. A stream may request it again before it is ready. */
  #isAsked = false;
  #isStarted = false;
  #isDropped = false;
  readonly #slice = (): void => this.#readSlice();

  constructor(context: ServiceContext, parts: SlicedParts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** Reads the first slice in advance, while an error can still be returned. @throws as `RangeResult.read` */
  begin(): void {
    this.#take(this.#parts.result.readFields(BYTES_PER_SLICE));
  }

  read(): Buffer[] | undefined {
    const next = this.#next;
    this.#next = undefined;
    const { longReads } = this.#context.member;
    if (next === undefined) {
      if (!this.#isAsked) longReads.soon(this.#slice);
      this.#isAsked = true;
    } else if (this.#parts.result.isRead && this.#parts.taken !== undefined)
      longReads.soon(this.#parts.taken);
    return next;
  }

  dropped(): void {
    this.#isDropped = true;
    this.#parts.ended();
  }

  #readSlice(): void {
    this.#isAsked = false;
    if (this.#isDropped) return;
    const { result, isOver, used, failed, ready } = this.#parts;
    const fields = isOver() ? undefined : readFurther(result);
    if (fields === undefined) {
      this.#isDropped = true;
      failed();
      return;
    }
    used();
    this.#take(fields);
    ready();
    this.#context.server.flushAll();
  }

  #take(fields: Buffer[]): void {
    const { header, tail, result, ended } = this.#parts;
    assert(this.#next === undefined, 'a slice is sent before the next one is read');
    if (!this.#isStarted) fields.unshift(header);
    this.#isStarted = true;
    if (result.isRead) {
      fields.push(tail);
      ended();
    }
    this.#next = fields;
  }
}

/** Returns the next KeyValues, or undefined if they can no longer be read. */
function readFurther(result: RangeResult): Buffer[] | undefined {
  try {
    return result.readFields(BYTES_PER_SLICE);
  } catch (error) {
    if (error instanceof RevisionGoneError || error instanceof EngineReopenedError) return undefined;
    throw error;
  }
}

/** `more` and `count`. */
function encodeTail(result: RangeResult): Buffer {
  const { count, more } = result;
  if (count === 0) return more ? MORE_FIELD : EMPTY;
  const tail = Buffer.allocUnsafe((more ? 2 : 0) + 1 + varintSize(count));
  let at = 0;
  if (more) at = MORE_FIELD.copy(tail);
  tail[at++] = COUNT_TAG;
  writeVarint(tail, at, count);
  return tail;
}
