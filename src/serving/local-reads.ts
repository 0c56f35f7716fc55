import { Status } from '../grpc/status.ts';
import type { UnaryCall } from '../grpc/unary-call.ts';
import { RisingMap } from '../lib/rising-map.ts';
import type { PointRead, PointReader } from '../ports/point-reads.ts';
import type { SlowRead } from '../ports/thread-reads.ts';
import { RangeRequest } from '../wire/gen/etcdserverpb.ts';
import { getResponse } from '../wire/get-response.ts';
import { ResponseHeaders } from '../wire/response-header.ts';
import type { BatchReader } from './batch.ts';
import { CallNumbers } from './call-numbers.ts';
import type { Link } from './link.ts';
import { ToCore, ToThread } from './records.ts';
import type { ThreadConnection } from './thread-connection.ts';

/** A longer request is forwarded: its memory is counted there. */
const MAX_REQUEST_BYTES = 16 * 1024;
/** A larger value is forwarded: the core reads it in parts as the client takes it. */
const MAX_VALUE_BYTES = 128 * 1024;
/** When the core has refused reads, for example because users have permissions, calls are forwarded so long. */
const PAUSE_MS = 1_000;

export interface LocalReadsOptions {
  readonly link: Link;
  /** Attaches to the store that the core has opened. */
  readonly openStore: (handle: bigint) => PointReader;
  /** Reads that take longer, in milliseconds, are reported. */
  readonly slowMs: number;
  /** Passes a call to the core, which answers it. */
  readonly forward: (call: UnaryCall, request: Buffer) => void;
  /** A call that was taken has ended and was not forwarded. */
  readonly ended: (call: UnaryCall) => void;
  /** Milliseconds on the monotonic clock. */
  readonly now: () => number;
}

/** A call for one key. Times are milliseconds on the monotonic clock. */
interface Read {
  readonly call: UnaryCall;
  readonly connection: ThreadConnection;
  readonly request: Buffer;
  readonly key: Buffer;
  readonly startedMs: number;
  /** 0 until the store is read. */
  readMs: number;
  foundMs: number;
  count: number;
  revision: number;
  /** -1 without a response. */
  responseBytes: number;
  /** The core answers it. */
  isForwarded: boolean;
}

interface Group {
  readonly id: number;
  /** The batch in which the group's record leaves. Calls that come later belong to another group. */
  readonly batch: number;
  readonly reads: Read[];
}

/**
 * Answers ranges of one key from the store, in a serving thread. The calls of one turn wait together until the core has
 * confirmed, by one ReadIndex for all of them, that the store has everything acknowledged before. Then one look-up
 * reads their keys at one revision. Whatever needs the state of the core is forwarded: permissions, past revisions,
 * ranges with several keys, filters, and requests with an error.
 */
export class LocalReads {
  readonly #options: LocalReadsOptions;
  /** By number. */
  readonly #groups = new RisingMap<Group>();
  readonly #numbers = new CallNumbers();
  #store: PointReader | undefined;
  #headers = new ResponseHeaders(0n, 0n);
  #lastGroup = 0;
  #linearizable: Group | undefined;
  #serializable: Group | undefined;
  #pausedUntilMs = 0;

  constructor(options: LocalReadsOptions) {
    this.#options = options;
  }

  /** Takes a call if it can be answered here. */
  take(call: UnaryCall, request: Buffer, connection: ThreadConnection): boolean {
    const startedMs = this.#options.now();
    if (startedMs < this.#pausedUntilMs || connection.needsLeader) return false;
    const range = readRequest(request);
    if (range === undefined) return false;
    const { key } = range;
    const read: Read = {
      call,
      connection,
      request,
      key,
      startedMs,
      readMs: 0,
      foundMs: 0,
      count: 0,
      revision: 0,
      responseBytes: -1,
      isForwarded: false,
    };
    call.onEnded = () => this.#ended(read);
    this.#group(!range.serializable).reads.push(read);
    return true;
  }

  /** Whether the record was one for reads. */
  onRecord(kind: number, id: number, reader: BatchReader): boolean {
    switch (kind) {
      case ToThread.READ_NOW:
        this.#answer(this.#takeGroup(id), reader.f64());
        return true;
      case ToThread.READ_FORWARD:
        this.#pausedUntilMs = this.#options.now() + PAUSE_MS;
        this.#forward(this.#takeGroup(id));
        return true;
      case ToThread.READ_FAILED: {
        const code = reader.u8();
        const message = reader.text();
        for (const read of this.#takeGroup(id)) {
          // As in etcd, the error of a handler counts as a sent message.
          read.responseBytes = 0;
          read.call.fail(code, message);
        }
        return true;
      }
      default:
        return false;
    }
  }

  attach(handle: bigint, clusterId: bigint, memberId: bigint): void {
    this.#store?.close();
    this.#store = this.#options.openStore(handle);
    this.#headers = new ResponseHeaders(clusterId, memberId);
  }

  /** The store will be closed. Calls that come before it is open again are forwarded. */
  detach(): void {
    this.#store?.close();
    this.#store = undefined;
  }

  #group(isLinearizable: boolean): Group {
    const { link } = this.#options;
    const open = isLinearizable ? this.#linearizable : this.#serializable;
    if (open?.batch === link.batches) return open;
    this.#lastGroup = (this.#lastGroup + 1) >>> 0;
    const id = this.#lastGroup;
    link.record(ToCore.READ, id).u8(isLinearizable ? 1 : 0);
    const group: Group = { id, batch: link.batches, reads: [] };
    this.#groups.add(this.#numbers.begin(id), group);
    if (isLinearizable) this.#linearizable = group;
    else this.#serializable = group;
    return group;
  }

  /** The calls of a group that have not ended. */
  #takeGroup(id: number): Read[] {
    const number = this.#numbers.of(id);
    const group = this.#groups.get(number);
    this.#groups.delete(number);
    return group?.reads.filter(({ call }) => !call.ended) ?? [];
  }

  #answer(reads: readonly Read[], term: number): void {
    if (reads.length === 0) return;
    const { now } = this.#options;
    const readMs = now();
    const found = this.#store?.read(
      reads.map(({ key }) => key),
      MAX_VALUE_BYTES,
    );
    if (found === undefined) {
      this.#forward(reads);
      return;
    }
    const foundMs = now();
    const header = this.#headers.field(found.revision, term);
    for (const [place, read] of reads.entries()) {
      read.readMs = readMs;
      read.foundMs = foundMs;
      this.#respond(read, header, found, place);
    }
  }

  #respond(read: Read, header: Buffer, { revision, keyValues }: PointRead, place: number): void {
    const keyValue = keyValues[place];
    if (keyValue === 'large') {
      this.#forward([read]);
      return;
    }
    const response = keyValue === undefined ? [header] : getResponse(header, keyValue);
    read.count = keyValue === undefined ? 0 : 1;
    read.revision = revision;
    read.responseBytes = response.reduce((bytes, { length }) => bytes + length, 0);
    read.call.respond(response, read.responseBytes);
  }

  #forward(reads: readonly Read[]): void {
    for (const read of reads) {
      read.isForwarded = true;
      this.#options.forward(read.call, read.request);
    }
  }

  #ended(read: Read): void {
    const { call, connection, request, startedMs, readMs, foundMs, responseBytes } = read;
    if (read.isForwarded) return;
    this.#options.ended(call);
    const { link, now, slowMs } = this.#options;
    const code = call.endCode ?? Status.OK;
    const tookMs = now() - startedMs;
    const out = link.lateRecord(ToCore.READ_ENDED, connection.id);
    out.u8(code);
    out.f64(tookMs);
    out.f64(readMs === 0 ? -1 : foundMs - readMs);
    out.u32(request.length);
    out.f64(responseBytes);
    if (tookMs > slowMs) this.#report(read, code, tookMs);
  }

  #report(read: Read, code: number, tookMs: number): void {
    const { call, request, startedMs, readMs, foundMs, count, revision, responseBytes } = read;
    const slow: SlowRead = {
      code,
      tookMs,
      peer: call.peer,
      request: request.toString('base64'),
      readAtMs: readMs === 0 ? undefined : readMs - startedMs,
      foundAtMs: foundMs - startedMs,
      count,
      revision,
      responseBytes: Math.max(0, responseBytes),
    };
    this.#options.link.record(ToCore.READ_SLOW, 0).text(JSON.stringify(slow));
  }
}

/** The request if it asks for the current value of one key and for nothing else; undefined also if it is faulty. */
function readRequest(request: Buffer): RangeRequest | undefined {
  if (request.length > MAX_REQUEST_BYTES) return undefined;
  let range: RangeRequest;
  try {
    range = RangeRequest.decode(request);
  } catch {
    // The core answers with the error.
    return undefined;
  }
  return isPlain(range) ? range : undefined;
}

function isPlain(range: RangeRequest): boolean {
  const { key, rangeEnd, limit, revision, keysOnly, countOnly, sortOrder, sortTarget } = range;
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = range;
  if (key.length === 0 || rangeEnd.length > 0 || limit < 0 || revision !== 0) return false;
  if (keysOnly || countOnly || sortOrder !== 0 || sortTarget !== 0) return false;
  return minModRevision === 0 && maxModRevision === 0 && minCreateRevision === 0 && maxCreateRevision === 0;
}
