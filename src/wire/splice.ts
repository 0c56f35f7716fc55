/**
 * Messages around bytes that are encoded already: what is stored or was received is copied or sliced in, never
 * decoded. The layouts are those of the generated codecs; the tests compare them.
 */
import { varintSize, writeBigVarint, bigVarintSize, writeVarint } from './varint.ts';

const LENGTH_DELIMITED = 2;

/** Tag and length in front of a length-delimited field's bytes. */
export function fieldHead(field: number, length: number): Buffer {
  const tag = field * 8 + LENGTH_DELIMITED;
  const head = Buffer.allocUnsafe(varintSize(tag) + varintSize(length));
  writeVarint(head, writeVarint(head, 0, tag), length);
  return head;
}

function nestedSize(length: number): number {
  return 1 + varintSize(length) + length;
}

/** For fields below 16. */
function writeNested(target: Buffer, at: number, field: number, bytes: Buffer): number {
  target[at] = field * 8 + LENGTH_DELIMITED;
  const start = writeVarint(target, at + 1, bytes.length);
  target.set(bytes, start);
  return start + bytes.length;
}

const EVENT_KV = 2;
const EVENT_PREV_KV = 3;

/**
 * `mvccpb.Event`.
 *
 * @param type 0 for a put, 1 for a delete
 * @param kv bytes of the KeyValue; a delete's holds key and modification revision
 * @param prevKv bytes of the KeyValue before, for watchers that asked for it
 */
export function encodeEvent(type: number, kv: Buffer, prevKv?: Buffer): Buffer {
  const typeSize = type === 0 ? 0 : 2;
  const prevSize = prevKv === undefined ? 0 : nestedSize(prevKv.length);
  const event = Buffer.allocUnsafe(typeSize + nestedSize(kv.length) + prevSize);
  let at = 0;
  if (typeSize > 0) {
    event[at++] = 0x08;
    event[at++] = type;
  }
  at = writeNested(event, at, EVENT_KV, kv);
  if (prevKv !== undefined) writeNested(event, at, EVENT_PREV_KV, prevKv);
  return event;
}

const WATCH_EVENTS = 11;

/**
 * Slices of a `WatchResponse` that carries events, in order.
 *
 * @param header the response header as field 1, tag and length included
 * @param watchId the watch's id on its stream
 * @param fragment that more events of the same revision follow in another response
 * @param events bytes of each event
 */
export function watchResponseParts(
  header: Buffer,
  watchId: bigint,
  fragment: boolean,
  events: readonly Buffer[],
): Buffer[] {
  const parts = [header];
  const fixed = Buffer.allocUnsafe((watchId === 0n ? 0 : 1 + bigVarintSize(watchId)) + (fragment ? 2 : 0));
  let at = 0;
  if (watchId !== 0n) {
    fixed[at++] = 0x10;
    at = writeBigVarint(fixed, at, watchId);
  }
  if (fragment) {
    fixed[at++] = 0x38;
    fixed[at] = 1;
  }
  if (fixed.length > 0) parts.push(fixed);
  for (const event of events) parts.push(fieldHead(WATCH_EVENTS, event.length), event);
  return parts;
}
