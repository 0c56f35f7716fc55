import type { ApplyResult } from '../apply/results.ts';
import { isError } from '../apply/results.ts';
import type { AuthInfo } from '../auth/auth-store.ts';
import type { CallObserver } from '../grpc/call-observer.ts';
import type { Metadata } from '../grpc/metadata.ts';
import type { GrpcServer } from '../grpc/server.ts';
import type { Session } from '../grpc/session.ts';
import type { UnaryCall } from '../grpc/unary-call.ts';
import type { RaftRequestField } from '../server/raft-request.ts';
import type { Member } from '../server/member.ts';
import type { Waiter } from '../server/pending-proposals.ts';
import { SLOW_MS } from '../server/slow-requests.ts';
import { RevisionGoneError } from '../mvcc/revision-reads.ts';
import { EngineReopenedError } from '../ports/engine.ts';
import { LongReads } from '../server/long-reads.ts';
import { runSteps, type Steps } from '../lib/steps.ts';
import { runYielding } from '../server/run-yielding.ts';
import { decodeInSteps, type MessageCodec } from '../wire/codec.ts';
import { EtcdError, errors, GrpcCode } from '../wire/errors.ts';
import { WireError } from '../wire/wire-error.ts';
import { ResponseHeaders } from '../wire/response-header.ts';
import { reportSlowProposal } from './slow-proposals.ts';

/** The parts of a call that identify its user. */
export interface Caller {
  readonly metadata: Metadata;
  readonly session: Session;
  readonly observer: CallObserver | undefined;
}

/**
 * Identifies the user of a call; undefined for an anonymous call. Returns a promise if the token takes time to
 * verify.
 *
 * @throws (or rejects) EtcdError for an invalid token
 */
export type Identify = (caller: Caller) => AuthInfo | undefined | Promise<AuthInfo | undefined>;

/** The parts of a method's descriptor that a service needs. */
export interface UnaryMethod<Request> {
  readonly path: string;
  readonly name: string;
  readonly request: MessageCodec<Request>;
  readonly clientStreaming: boolean;
  readonly serverStreaming: boolean;
}

export interface MethodOptions {
  /** Whether a learner serves it. */
  readonly learner?: boolean;
  /** Of each list of messages in a large request so many are kept. A request with more must be refused. */
  readonly mostItems?: number;
}

/**
 * A larger request is decoded in steps. A step ends after some kilobytes, because these may have thousands of fields.
 * With large values a step has one field and takes a microsecond, so the steps of a turn are limited by time.
 */
const LARGE_REQUEST_BYTES = 16 * 1024;

export const STORE_REPLACED = 'etcdserver: the store was replaced by a newer one';
/** etcd's events of a traced request. */
export const PROPOSAL_SENT = 'Send raft proposal';
export const RESULT_RECEIVED = 'Receive raft result';
const HAS_LEADER = 'hasleader';
const DECODE_FAULT = 'grpc: error unmarshalling request: ';

/** What all services share: the gRPC server, the member, and the functions that admit and answer calls. */
export class ServiceContext {
  readonly server: GrpcServer;
  readonly member: Member;
  readonly identify: Identify;
  readonly headers: ResponseHeaders;
  /** The decoding of large requests: about a millisecond per turn of the event loop for all clients together. */
  readonly #decoding: LongReads;

  constructor(server: GrpcServer, member: Member, identify: Identify) {
    this.server = server;
    this.member = member;
    this.identify = identify;
    this.headers = new ResponseHeaders(member.identity.clusterId, member.identity.memberId);
    const { clock, scheduler } = member;
    this.#decoding = new LongReads({ clock, scheduler, isBusy: () => false });
  }

  /** The header field of a response with this revision. */
  headerAt(revision: number): Buffer {
    return this.headers.field(revision, this.member.term);
  }

  /** The header field with the current revision. */
  header(): Buffer {
    return this.headerAt(this.member.store.revision);
  }

  /**
   * Registers a unary method. The handler answers the call at once or later. If it throws an EtcdError, the call
   * fails with it.
   */
  unary<Request>(
    method: UnaryMethod<Request>,
    handler: (call: UnaryCall, request: Request, bytes: Buffer) => void,
    options: MethodOptions = {},
  ): void {
    const { member } = this;
    const codec = method.request;
    const learner = options.learner === true;
    this.server.unary(method, (call, bytes) => {
      if (member.isReopening) {
        member.whenOpen(() => handle(call, bytes));
      } else handle(call, bytes);
    });
    const handle = (call: UnaryCall, bytes: Buffer): void => {
      if (bytes.length > LARGE_REQUEST_BYTES) {
        runYielding(this.#decoding, decodeInSteps(codec, bytes, options.mostItems), {
          isOver: () => call.ended,
          done: (request) => member.whenOpen(() => serve(call, bytes, () => request)),
          failed: (error) => failCall(call, error),
        });
      } else serve(call, bytes, () => codec.decode(bytes));
    };
    const serve = (call: UnaryCall, bytes: Buffer, decode: () => Request): void => {
      try {
        const request = decode();
        if (!learner && member.cluster.isLocalLearner) throw errors.NotSupportedForLearner;
        if (!member.hasLeader && call.metadata.get(HAS_LEADER) === 'true') throw errors.NoLeader;
        handler(call, request, bytes);
      } catch (error) {
        failCall(call, error);
      }
    };
  }

  /**
   * Does work for a request that grows with its size, then calls back: at once for a small request, else over several
   * turns of the event loop. The call fails with an error that is thrown.
   */
  inSteps<Result>(
    call: UnaryCall,
    bytes: Buffer,
    steps: Steps<Result>,
    next: (result: Result) => void,
  ): void {
    if (bytes.length <= LARGE_REQUEST_BYTES) {
      next(runSteps(steps));
      return;
    }
    runYielding(this.#decoding, steps, {
      isOver: () => call.ended,
      done: (result) => {
        this.member.whenOpen(() => {
          try {
            next(result);
          } catch (error) {
            failCall(call, error);
          }
        });
      },
      failed: (error) => failCall(call, error),
    });
  }

  /** Calls back with the user of the call. Without auth it calls back at once, without a user. */
  asCaller(call: UnaryCall, next: (who: AuthInfo | undefined) => void): void {
    if (!this.member.auth.isEnabled) {
      next(undefined);
      return;
    }
    const who = this.identify(call);
    if (!(who instanceof Promise)) {
      next(who);
      return;
    }
    who
      .then((known) => {
        this.member.whenOpen(() => {
          try {
            next(known);
          } catch (error) {
            failCall(call, error);
          }
        });
      })
      .catch((error: unknown) => failCall(call, error));
  }

  /** Proposes the request unchanged and answers with the result. */
  propose(call: UnaryCall, field: RaftRequestField, body: Buffer, who: AuthInfo | undefined): void {
    call.trace?.event(PROPOSAL_SENT);
    this.member.propose(field, body, who, new Answer(this, call, field, body));
  }

  /** Answers a call with the result of an applied request. */
  answer(call: UnaryCall, result: ApplyResult): void {
    if (isError(result)) {
      call.fail(result.code, result.message);
      return;
    }
    const header = this.headerAt(result.revision);
    const { slices, size } = result.body;
    if (size === 0) call.respond(header, header.length);
    else call.respond([header, ...slices], header.length + size);
  }
}

/** Waits for a proposal and answers its call. */
class Answer implements Waiter<ApplyResult> {
  readonly #context: ServiceContext;
  readonly #call: UnaryCall;
  readonly #field: RaftRequestField;
  readonly #request: Buffer;

  constructor(context: ServiceContext, call: UnaryCall, field: RaftRequestField, request: Buffer) {
    this.#context = context;
    this.#call = call;
    this.#field = field;
    this.#request = request;
  }

  settled(result: ApplyResult): void {
    this.#call.trace?.event(RESULT_RECEIVED);
    const { durations } = this.#context.member;
    // As in etcd, refused requests are not logged.
    if (durations.proposalMs > SLOW_MS && !isError(result))
      reportSlowProposal(durations, this.#field, this.#request, result);
    this.#context.answer(this.#call, result);
  }

  failed(error: Error): void {
    this.#call.trace?.failed(error);
    failCall(this.#call, error);
  }
}

/**
 * Ends a call with an error: etcd's own, or a request that cannot be decoded. Any other error is a bug in the server.
 */
export function failCall(call: UnaryCall, error: unknown): void {
  if (error instanceof EtcdError) call.fail(error.code, error.message);
  else if (error instanceof WireError) call.fail(GrpcCode.Internal, DECODE_FAULT + error.answer);
  else if (error instanceof RevisionGoneError) call.fail(errors.Compacted.code, errors.Compacted.message);
  else if (error instanceof EngineReopenedError) call.fail(GrpcCode.Unavailable, STORE_REPLACED);
  else throw error;
}
