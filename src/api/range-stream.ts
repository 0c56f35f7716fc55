import { checkRange } from '../apply/checks.ts';
import { rangeOptions, refuseRevision } from '../apply/kv-context.ts';
import { type AuthInfo, NOBODY } from '../auth/auth-store.ts';
import type { StreamCall } from '../grpc/stream-call.ts';
import { keyRange } from '../mvcc/key-range.ts';
import type { RangeOptions, RangeResult } from '../mvcc/range-scan.ts';
import { EtcdError, GrpcCode } from '../wire/errors.ts';
import { KeyValueView } from '../wire/key-value.ts';
import { RangeRequest, RangeRequestSortOrder, RangeRequestSortTarget } from '../wire/gen/etcdserverpb.ts';
import { KV } from '../wire/services.ts';
import { fieldHead } from '../wire/splice.ts';
import { ResponseBody } from '../apply/response-body.ts';
import type { ServiceContext } from './service-context.ts';
import { admitStream, endStream, type StreamIdentity, streamIdentity } from './stream-calls.ts';

/** Keys in the first message; later ones have more or fewer, towards the size aimed at. */
const FIRST_CHUNK_KEYS = 10;
const KEYS_PER_SLICE = 1000;
const RANGE_RESPONSE = 1;
const KVS = 2;

/** `KV.RangeStream`: a range in messages of about `--max-request-bytes`, all at one revision. */
export function registerRangeStream(context: ServiceContext): void {
  context.server.stream(KV.methods.rangeStream, (call) => {
    if (!admitStream(context, call, { learner: context.member.config.learnerReads })) return;
    call.onMessage = (bytes) => {
      try {
        const request = RangeRequest.decode(bytes);
        checkRangeStream(request);
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

/** One request's way through its range, a message at a time, no faster than the client takes them. */
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
        const body = this.#lastBody(false, result.count);
        this.#write(body);
        this.#call.end();
      });
      return;
    }
    this.#next();
  }

  #next(): void {
    const options = { ...this.#options, revision: this.#revision, limit: this.#limit, range: this.#range() };
    this.#scan(options, (result) => this.#send(result), false);
  }

  #range(): RangeOptions['range'] {
    return keyRange(this.#key, this.#rangeEnd);
  }

  #send(result: RangeResult): void {
    const kvs = this.#read(result);
    this.#sent += kvs.length;
    const isCut = kvs.length < result.length;
    const isLast = !isCut && (!result.more || this.#sent >= this.#totalLimit);
    if (!isLast) {
      const last = kvs[kvs.length - 1];
      const bytes = this.#write(kvsBody(kvs));
      if (last !== undefined) this.#key = Buffer.concat([new KeyValueView().read(last).key, ZERO]);
      this.#adjust(bytes, isCut);
      return;
    }
    if (!result.more) {
      this.#finish(kvs, false, this.#sent);
      return;
    }
    const last = kvs[kvs.length - 1];
    if (last !== undefined) this.#key = Buffer.concat([new KeyValueView().read(last).key, ZERO]);
    const count = {
      ...this.#options,
      revision: this.#revision,
      limit: 0,
      countOnly: true,
      range: this.#range(),
    };
    this.#scan(count, (rest) => this.#finish(kvs, true, this.#sent + rest.count));
  }

  #finish(kvs: readonly Buffer[], more: boolean, count: number): void {
    const body = this.#lastBody(more, count, kvs);
    this.#write(body);
    this.#call.end();
  }

  /** Not all of it where values are much larger than those before: a message is held in memory as a whole. */
  #read(result: RangeResult): Buffer[] {
    const most = this.#context.member.config.maxRequestBytes * 2;
    const kvs: Buffer[] = [];
    let bytes = 0;
    while (bytes < most) {
      const part = result.read(most - bytes);
      if (part.length === 0) break;
      for (const kv of part) {
        kvs.push(kv);
        bytes += kv.length;
      }
    }
    return kvs;
  }

  /** As etcd: twice or half as many keys while a message is far from the size aimed at. */
  #adjust(bytes: number, isCut: boolean): void {
    const aim = this.#context.member.config.maxRequestBytes;
    if (bytes < aim / 2) this.#limit *= 2;
    else if (isCut || bytes > aim * 2) this.#limit = Math.max(1, Math.floor(this.#limit / 2));
    this.#limit = Math.min(this.#limit, this.#totalLimit - this.#sent);
  }

  #lastBody(more: boolean, count: number, kvs: readonly Buffer[] = []): ResponseBody {
    const body = new ResponseBody();
    body.bytes(this.#context.headerAt(this.#headerRevision));
    for (const kv of kvs) body.field(KVS, kv);
    if (more) body.varint(3, 1);
    body.varint(4, count);
    return body;
  }

  /** @returns the size of the range response; goes on with the next message where it is not the last */
  #write(body: ResponseBody): number {
    const head = fieldHead(RANGE_RESPONSE, body.size);
    const hasRoom = this.#call.write([head, ...body.slices], head.length + body.size);
    const { member } = this.#context;
    if (hasRoom) member.scheduler.soon(() => member.whenOpen(() => this.#goOn()));
    else this.#call.onWritable = () => member.whenOpen(() => this.#goOn());
    return body.size;
  }

  #goOn(): void {
    if (this.#call.ended) return;
    const { auth, store } = this.#context.member;
    const refused = auth.checkCurrent(this.#caller) ?? refuseRevision(store, this.#revision);
    if (refused === undefined) this.#next();
    else endStream(this.#call, refused);
  }

  #scan(options: RangeOptions, then: (result: RangeResult) => void, withTotalCount = true): void {
    const { member } = this.#context;
    const scan = member.store.scan(options, withTotalCount);
    const step = (): void => {
      try {
        if (this.#call.ended) scan.cancel();
        else if (scan.step(KEYS_PER_SLICE)) then(scan.result());
        else member.scheduler.soon(step);
      } catch (error) {
        scan.cancel();
        endStream(this.#call, error);
      }
    };
    step();
  }
}

const ZERO = Buffer.from([0]);

function kvsBody(kvs: readonly Buffer[]): ResponseBody {
  const body = new ResponseBody();
  for (const kv of kvs) body.field(KVS, kv);
  return body;
}
