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
import { RevisionGoneError } from '../mvcc/revision-reads.ts';
import { EngineReopenedError } from '../ports/engine.ts';
import type { MessageCodec } from '../wire/codec.ts';
import { EtcdError, errors, GrpcCode } from '../wire/errors.ts';
import { WireError } from '../wire/wire-error.ts';
import { ResponseHeaders } from './response-header.ts';

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
}

export const STORE_REPLACED = 'etcdserver: the store was replaced by a newer one';
const HAS_LEADER = 'hasleader';
const DECODE_FAULT = 'grpc: error unmarshalling request: ';

/** What all services share: the gRPC server, the member, and the functions that admit and answer calls. */
export class ServiceContext {
  readonly server: GrpcServer;
  readonly member: Member;
  readonly identify: Identify;
  readonly headers: ResponseHeaders;

  constructor(server: GrpcServer, member: Member, identify: Identify) {
    this.server = server;
    this.member = member;
    this.identify = identify;
    this.headers = new ResponseHeaders(member.identity.clusterId, member.identity.memberId);
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
      try {
        const request = codec.decode(bytes);
        if (!learner && member.cluster.isLocalLearner) throw errors.NotSupportedForLearner;
        if (!member.hasLeader && call.metadata.get(HAS_LEADER) === 'true') throw errors.NoLeader;
        handler(call, request, bytes);
      } catch (error) {
        failCall(call, error);
      }
    };
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
    this.member.propose(field, body, who, new Answer(this, call));
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

  constructor(context: ServiceContext, call: UnaryCall) {
    this.#context = context;
    this.#call = call;
  }

  settled(result: ApplyResult): void {
    this.#context.answer(this.#call, result);
  }

  failed(error: Error): void {
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
