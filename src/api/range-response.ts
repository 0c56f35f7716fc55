import type { AuthInfo } from '../auth/auth-store.ts';
import type { UnaryCall } from '../grpc/unary-call.ts';
import type { RangeOptions, RangeResult } from '../mvcc/range-scan.ts';
import { RevisionGoneError } from '../mvcc/revision-reads.ts';
import { EngineReopenedError } from '../ports/engine.ts';
import type { Member } from '../server/member.ts';
import { fieldHead } from '../wire/splice.ts';
import { varintSize, writeVarint } from '../wire/varint.ts';
import { failCall, type ServiceContext } from './service-context.ts';

/** Keys visited in one turn of the event loop. */
const KEYS_PER_SLICE = 1000;
/** Responses up to this size are made at once; larger ones as the client takes them. */
const AT_ONCE_BYTES = 128 * 1024;

const KVS = 2;
const MORE_FIELD = Buffer.from([0x18, 0x01]);
const COUNT_TAG = 0x20;

/** Scans in slices and answers with what is found, unless users or roles have changed meanwhile. */
export function answerRange(
  context: ServiceContext,
  call: UnaryCall,
  options: RangeOptions,
  caller: AuthInfo,
): void {
  const { member } = context;
  const header = context.header();
  member.metrics.mvcc.rangeTotal++;
  const startedMs = member.clock.now();
  const scan = member.store.scan(options);
  const seen = readRevision(member, options.revision);
  if (scan.step(KEYS_PER_SLICE)) {
    member.durations.range((member.clock.now() - startedMs) / 1000, true);
    respond(context, call, { header, seen, result: scan.result() });
    return;
  }
  const step = (): void => {
    try {
      if (call.ended) scan.cancel();
      else if (scan.step(KEYS_PER_SLICE)) {
        const refused = member.auth.checkCurrent(caller);
        if (refused !== undefined) throw refused;
        member.durations.range((member.clock.now() - startedMs) / 1000, true);
        respond(context, call, { header, seen, result: scan.result() });
      } else {
        member.scheduler.soon(step);
      }
    } catch (error) {
      scan.cancel();
      failCall(call, error);
    }
  };
  member.scheduler.soon(step);
}

/** The revision that a range read sees. */
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
  let total = header.length + tail.length;
  for (const size of result.sizes) total += 1 + varintSize(size) + size;
  if (total <= AT_ONCE_BYTES) {
    const parts = [header];
    for (const kv of result.readAll()) parts.push(fieldHead(KVS, kv.length), kv);
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

/** The values are read as the client takes them; until then no compaction takes them away. */
function respondLarge(
  context: ServiceContext,
  call: UnaryCall,
  { header, seen, result, tail, total }: LargeResponse,
): void {
  const { member } = context;
  const hold = member.compactor.hold(seen, () => call.abort());
  const generation = member.storeGeneration;
  let started = false;
  call.respondStream(total, {
    read: (maxBytes) => {
      if (member.storeGeneration !== generation) {
        // What was announced cannot be given any more: only the end of the connection says so.
        hold.release();
        call.session.socket.destroy();
        return undefined;
      }
      hold.used();
      const parts: Buffer[] = [];
      if (!started) parts.push(header);
      started = true;
      const kvs = readFurther(result, maxBytes);
      if (kvs === undefined) {
        hold.release();
        call.abort();
        return undefined;
      }
      for (const kv of kvs) parts.push(fieldHead(KVS, kv.length), kv);
      if (kvs.length > 0) return parts;
      hold.release();
      parts.push(tail);
      return parts;
    },
    // The client has gone or wants no more of it.
    dropped: () => hold.release(),
  });
}

/** The next KeyValues; undefined if there is no way to read them any more. */
function readFurther(result: RangeResult, maxBytes: number): Buffer[] | undefined {
  try {
    return result.read(maxBytes);
  } catch (error) {
    if (error instanceof RevisionGoneError || error instanceof EngineReopenedError) return undefined;
    throw error;
  }
}

/** `more` and `count`. */
function encodeTail(result: RangeResult): Buffer {
  const { count, more } = result;
  if (count === 0) return more ? MORE_FIELD : NOTHING;
  const tail = Buffer.allocUnsafe((more ? 2 : 0) + 1 + varintSize(count));
  let at = 0;
  if (more) at = MORE_FIELD.copy(tail);
  tail[at++] = COUNT_TAG;
  writeVarint(tail, at, count);
  return tail;
}

const NOTHING = Buffer.alloc(0);
