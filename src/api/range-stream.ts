import { checkRange } from '../apply/checks.ts';
import { rangeOptions, refuseRevision } from '../apply/kv-context.ts';
import { type AuthInfo, NOBODY } from '../auth/auth-store.ts';
import type { StreamCall } from '../grpc/stream-call.ts';
import { keyRange } from '../mvcc/key-range.ts';
import type { RangeOptions } from '../mvcc/range-options.ts';
import type { RangeResult } from '../mvcc/range-scan.ts';
import { EtcdError, GrpcCode } from '../wire/errors.ts';
import { RangeRequest, RangeRequestSortOrder, RangeRequestSortTarget } from '../wire/gen/etcdserverpb.ts';
import { EMPTY } from '../wire/reader.ts';
import { KV } from '../wire/services.ts';
import { fieldHead } from '../wire/splice.ts';
import { ResponseBody } from '../apply/response-body.ts';
import { KEYS_PER_SLICE, SlicedResponse } from './range-response.ts';
import type { ServiceContext } from './service-context.ts';
import { traceRangeStream } from './traced-operations.ts';
import { admitStream, endStream, type StreamIdentity, streamIdentity } from './stream-calls.ts';

/** How many keys the first message has. Later messages have more or fewer, to reach the target size. */
const FIRST_CHUNK_KEYS = 10;
/** One scan finds the keys of so many messages, but not more keys than this. To begin a scan takes as long as 100 keys. */
const MESSAGES_PER_SCAN = 8;
const KEYS_PER_SCAN = 1024;
const RANGE_RESPONSE = 1;

/** `KV.RangeStream`: a range in messages of about `--max-request-bytes`, all at one revision. */
export function registerRangeStream(context: ServiceContext): void {
  context.server.stream(KV.methods.rangeStream, (call) => {
    if (!admitStream(context, call, { learner: context.member.config.learnerReads })) return;
    call.onMessage = (bytes) => {
      try {
        const request = RangeRequest.decode(bytes);
        checkRangeStream(request);
        traceRangeStream(call, request);
        start(context, call, request);
      } catch (error) {
        endStream(call, error);
      }
    };
  });
}

function checkRangeStream(request: RangeRequest): void {
  const refused = checkRange(request);
  if (refused !== undefined) throw refused;
  const { sortOrder, sortTarget } = request;
  const isDefaultOrder =
    sortTarget === RangeRequestSortTarget.KEY && sortOrder !== RangeRequestSortOrder.DESCEND;
  const unsorted = sortOrder === RangeRequestSortOrder.NONE;
  if (!isDefaultOrder && !unsorted) throw unimplemented('custom sort orders');
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  if (minModRevision !== 0 || maxModRevision !== 0 || minCreateRevision !== 0 || maxCreateRevision !== 0)
    throw unimplemented('revision filters');
}

function unimplemented(what: string): EtcdError {
  return new EtcdError(GrpcCode.Unimplemented, `RangeStream does not support ${what}`);
}

function start(context: ServiceContext, call: StreamCall, request: RangeRequest): void {
  const { member } = context;
  const identified = (who: StreamIdentity): void => {
    const caller = who ?? NOBODY;
    const refused =
      member.auth.checkRange(caller, request.key, request.rangeEnd) ??
      member.auth.checkCurrent(caller) ??
      refuseRevision(member.store, request.revision);
    if (refused !== undefined) throw refused;
    new ChunkedRange(context, call, request, caller).run();
  };
  const read = (): void =>
    member.whenOpen(() => {
      try {
        streamIdentity(context, call, identified);
      } catch (error) {
        endStream(call, error);
      }
    });
  if (request.serializable) read();
  else
    call.onCancel = member.read({
      readable: () => {
        call.onCancel = undefined;
        read();
      },
      failed: (error) => endStream(call, error),
    });
}

/** Answers one request message by message, no faster than the client reads. */
class ChunkedRange {
  readonly #context: ServiceContext;
  readonly #call: StreamCall;
  readonly #caller: AuthInfo;
  readonly #revision: number;
  readonly #headerRevision: number;
  readonly #options: RangeOptions;
  readonly #rangeEnd: Buffer;
  readonly #totalLimit: number;
  #key: Buffer;
  #limit: number;
  #sent = 0;
  /** What the last scan found, in which store, and how many of it are sent. */
  #found: RangeResult | undefined;
  #generation = 0;
  #sentOfFound = 0;

  constructor(context: ServiceContext, call: StreamCall, request: RangeRequest, caller: AuthInfo) {
    this.#context = context;
    this.#call = call;
    this.#caller = caller;
    this.#headerRevision = context.member.store.revision;
    this.#revision = request.revision > 0 ? request.revision : this.#headerRevision;
    this.#options = rangeOptions(request);
    this.#key = request.key;
    this.#rangeEnd = request.rangeEnd;
    this.#totalLimit = request.limit > 0 ? request.limit : Infinity;
    this.#limit = Math.min(FIRST_CHUNK_KEYS, this.#totalLimit);
  }

  run(): void {
    if (this.#options.countOnly) {
      this.#scan({ ...this.#options, revision: this.#revision }, (result) => {
        const body = new ResponseBody();
        body.bytes(this.#context.headerAt(this.#headerRevision));
        body.varint(4, result.count);
        this.#write(body);
        this.#call.end();
      });
      return;
    }
    this.#next();
  }

  #next(): void {
    const { member } = this.#context;
    const found = member.storeGeneration === this.#generation ? this.#found : undefined;
    const isAhead = this.#options.sortTarget === RangeRequestSortTarget.KEY;
    // A message has fewer keys than the limit only if it is the last one.
    if (isAhead && found !== undefined && (!found.more || found.length - this.#sentOfFound >= this.#limit)) {
      this.#send(found);
      return;
    }
    // As in etcd, another sort target sorts each message by itself.
    const messages = isAhead
      ? Math.max(1, Math.min(MESSAGES_PER_SCAN, Math.floor(KEYS_PER_SCAN / this.#limit)))
      : 1;
    const limit = Math.min(this.#limit * messages, this.#totalLimit - this.#sent);
    const options = { ...this.#options, revision: this.#revision, limit, range: this.#range() };
    this.#scan(
      options,
      (result) => {
        this.#found = result;
        this.#generation = member.storeGeneration;
        this.#sentOfFound = 0;
        this.#send(result);
      },
      false,
    );
  }

  /** The rest of the range: what is after the keys that are sent. */
  #range(): RangeOptions['range'] {
    if (this.#sentOfFound > 0 && this.#found !== undefined)
      this.#key = Buffer.concat([this.#found.keyAt(this.#sentOfFound - 1), ZERO]);
    return keyRange(this.#key, this.#rangeEnd);
  }

  #send(found: RangeResult): void {
    const wanted = Math.min(this.#limit, found.length - this.#sentOfFound);
    // Fewer KeyValues where they are much larger than those before.
    const result = found.part(this.#sentOfFound, wanted, this.#context.member.config.maxRequestBytes * 2);
    const isCut = result.length < wanted;
    this.#sent += result.length;
    this.#sentOfFound += result.length;
    const isLast = !isCut && (!result.more || this.#sent >= this.#totalLimit);
    if (!isLast) {
      this.#adjust(result.fieldBytes, isCut);
      this.#writeValues(result, EMPTY, EMPTY, () => this.#goOn());
      return;
    }
    if (!result.more) {
      this.#finish(result, false, this.#sent);
      return;
    }
    const range = this.#range();
    const count = { ...this.#options, revision: this.#revision, limit: 0, countOnly: true, range };
    // While the rest is counted, no compaction takes the values away that were found.
    const hold = this.#context.member.compactor.hold(this.#revision);
    this.#scan(
      count,
      (rest) => {
        this.#finish(result, true, this.#sent + rest.count);
        hold.release();
      },
      true,
      () => hold.release(),
    );
  }

  #finish(result: RangeResult, more: boolean, count: number): void {
    const header = this.#context.headerAt(this.#headerRevision);
    const tail = new ResponseBody();
    if (more) tail.varint(3, 1);
    tail.varint(4, count);
    if (result.length > 0) {
      this.#writeValues(result, header, Buffer.concat(tail.slices), () => this.#call.end());
      return;
    }
    const body = new ResponseBody();
    body.bytes(header);
    for (const slice of tail.slices) body.bytes(slice);
    this.#write(body);
    this.#call.end();
  }

  /** As in etcd: twice or half as many keys while a message is far from the target size. */
  #adjust(bytes: number, isCut: boolean): void {
    const aim = this.#context.member.config.maxRequestBytes;
    if (bytes < aim / 2) this.#limit *= 2;
    else if (isCut || bytes > aim * 2) this.#limit = Math.max(1, Math.floor(this.#limit / 2));
    this.#limit = Math.min(this.#limit, this.#totalLimit - this.#sent);
  }

  #write(body: ResponseBody): void {
    const head = fieldHead(RANGE_RESPONSE, body.size);
    this.#call.write([head, ...body.slices], head.length + body.size);
  }

  /** One message with values, read as the client takes them. `then` comes once the last of it is on its way. */
  #writeValues(result: RangeResult, header: Buffer, tail: Buffer, then: () => void): void {
    const { member } = this.#context;
    const call = this.#call;
    const size = header.length + result.fieldBytes + tail.length;
    const head = fieldHead(RANGE_RESPONSE, size);
    const hold = member.compactor.hold(this.#revision, () => call.abort());
    const generation = member.storeGeneration;
    const isOver = (): boolean => member.storeGeneration !== generation;
    const source = new SlicedResponse(this.#context, {
      header: Buffer.concat([head, header]),
      result,
      tail,
      isOver,
      ready: () => call.sourceReady(),
      taken: () => member.whenOpen(then),
      failed: () => {
        hold.release();
        call.abort();
      },
      used: () => hold.used(),
      ended: () => hold.release(),
    });
    try {
      source.begin();
    } catch (error) {
      hold.release();
      throw error;
    }
    call.writeSource(head.length + size, source);
  }

  #goOn(): void {
    if (this.#call.ended) return;
    const { auth, store } = this.#context.member;
    const refused = auth.checkCurrent(this.#caller) ?? refuseRevision(store, this.#revision);
    try {
      if (refused !== undefined) throw refused;
      this.#next();
    } catch (error) {
      endStream(this.#call, error);
    }
  }

  #scan(
    options: RangeOptions,
    then: (result: RangeResult) => void,
    withTotalCount = true,
    failed?: () => void,
  ): void {
    const { member } = this.#context;
    const scan = member.store.scan(options, { totalCount: withTotalCount });
    const step = (): void => {
      try {
        if (this.#call.ended) {
          scan.cancel();
          failed?.();
        } else if (scan.step(KEYS_PER_SLICE)) then(scan.result());
        else member.longReads.soon(step);
      } catch (error) {
        scan.cancel();
        failed?.();
        endStream(this.#call, error);
      }
    };
    step();
  }
}

const ZERO = Buffer.from([0]);
