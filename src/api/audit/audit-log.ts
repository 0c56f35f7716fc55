import type { AuthInfo } from '../../auth/auth-store.ts';
import type { Call } from '../../grpc/call.ts';
import type { CallObserver, CallWatcher } from '../../grpc/call-observer.ts';
import type { MethodDescriptor, ServiceDescriptor } from '../../wire/codec.ts';
import { GrpcCode } from '../../wire/errors.ts';
import { ResponseHeader, WatchRequest, WatchResponse } from '../../wire/gen/etcdserverpb.ts';
import * as services from '../../wire/services.ts';
import { GATEWAY_HEADER } from '../auth/identify.ts';
import type { Caller, Identify } from '../service-context.ts';
import { type AuditFields, requestFields } from './request-fields.ts';
import { readsOnly, txnFields } from './txn-fields.ts';

export interface AuditOptions {
  /** `write` logs changes, logins and every refused request; `all` logs reads as well. */
  readonly level: 'write' | 'all';
  /** Takes a line with its newline. Must not block. */
  readonly write: (line: string) => void;
  /** Milliseconds since the epoch. */
  readonly wallMs: () => number;
  readonly isAuthEnabled: () => boolean;
}

/** Methods that change nothing. A transaction that only reads counts as one of them. All others are logged. */
const READS: ReadonlySet<string> = new Set([
  ...['/etcdserverpb.KV/Range', '/etcdserverpb.KV/RangeStream', '/etcdserverpb.Watch/Watch'],
  ...['/etcdserverpb.Lease/LeaseTimeToLive', '/etcdserverpb.Lease/LeaseLeases'],
  // A keep-alive changes no data, and each lease has several a minute.
  '/etcdserverpb.Lease/LeaseKeepAlive',
  ...[
    '/etcdserverpb.Cluster/MemberList',
    '/etcdserverpb.Maintenance/Status',
    '/etcdserverpb.Maintenance/Hash',
  ],
  ...['/etcdserverpb.Maintenance/HashKV', '/etcdserverpb.Auth/AuthStatus', '/etcdserverpb.Auth/UserGet'],
  ...['/etcdserverpb.Auth/UserList', '/etcdserverpb.Auth/RoleGet', '/etcdserverpb.Auth/RoleList'],
  ...['/v3electionpb.Election/Leader', '/v3electionpb.Election/Observe'],
]);
const REFUSALS: ReadonlySet<number> = new Set([GrpcCode.PermissionDenied, GrpcCode.Unauthenticated]);
const AUTHENTICATE = '/etcdserverpb.Auth/Authenticate';
const TXN = '/etcdserverpb.KV/Txn';
const WATCH = '/etcdserverpb.Watch/Watch';

const codeNames = new Map(Object.entries(GrpcCode).map(([name, code]) => [code as number, name]));

/** Watch responses longer than this are events. Events are not logged. */
const MAX_CONTROL_BYTES = 4096;
const HEADER_TAG = 0x0a;

/**
 * Writes a line of JSON for each request: the time, the client's address, the user, the operation, the keys and the
 * result. `request-fields.ts` lists the fields that a line may hold.
 */
export class AuditLog implements CallWatcher {
  readonly #options: AuditOptions;
  readonly #methods = new Map<string, MethodDescriptor>();

  constructor(options: AuditOptions) {
    this.#options = options;
    for (const service of Object.values<ServiceDescriptor>(services))
      for (const method of Object.values(service.methods)) this.#methods.set(method.path, method);
  }

  observe(path: string, call: Call, request: Buffer | undefined): CallObserver | undefined {
    const method = this.#methods.get(path);
    // Health checks are not logged.
    if (method === undefined) return undefined;
    return new AuditedCall(this.#options, method, call, request);
  }

  /** Identifies the caller as before, and remembers the result for the line. */
  noting(identify: Identify): Identify {
    return (caller) => {
      const who = identify(caller);
      if (!(who instanceof Promise)) {
        note(caller, who);
        return who;
      }
      return who.then((known) => {
        note(caller, known);
        return known;
      });
    };
  }
}

function note(caller: Caller, who: AuthInfo | undefined): void {
  if (who !== undefined && caller.observer instanceof AuditedCall) caller.observer.user = who.username;
}

interface Request {
  readonly bytes: Buffer;
  readonly startedMs: number;
}

class AuditedCall implements CallObserver {
  /** The user of the token or of the client certificate. */
  user: string | undefined;
  readonly #options: AuditOptions;
  readonly #method: MethodDescriptor;
  readonly #call: Call;
  readonly #startedMs: number;
  /** Both are read while the connection exists. */
  readonly #remote: string;
  readonly #commonName: string | undefined;
  /** Requests that have no response yet, in order. */
  readonly #open: Request[] = [];
  #revision = 0;
  #isTold = false;

  constructor(options: AuditOptions, method: MethodDescriptor, call: Call, request: Buffer | undefined) {
    this.#options = options;
    this.#method = method;
    this.#call = call;
    this.#startedMs = performance.now();
    this.#remote = call.peer;
    this.#commonName = call.session.commonName;
    if (request !== undefined) this.#open.push({ bytes: request, startedMs: this.#startedMs });
  }

  received(message: Buffer): void {
    if (this.#method.path === WATCH && !createsWatch(message)) return;
    this.#open.push({ bytes: message, startedMs: performance.now() });
  }

  responded(parts: Buffer | readonly Buffer[]): void {
    if (this.#open.length === 0) return;
    const first = Buffer.isBuffer(parts) ? parts : parts[0];
    if (first !== undefined) this.#revision = revisionOf(first);
    if (this.#method.path === WATCH) this.#watchResponded(parts);
    else if (this.#method.clientStreaming) this.#tell(this.#open.shift(), GrpcCode.OK);
  }

  ended(code: number): void {
    if (this.#open.length === 0 && !this.#isTold && code !== GrpcCode.OK) this.#tell(undefined, code);
    for (const request of this.#open.splice(0)) this.#tell(request, code);
  }

  /** Each watch is granted or denied by a response of its own. */
  #watchResponded(parts: Buffer | readonly Buffer[]): void {
    const bytes = Buffer.isBuffer(parts) ? parts : Buffer.concat(parts);
    if (bytes.length > MAX_CONTROL_BYTES) return;
    const { created, canceled, cancelReason } = WatchResponse.decode(bytes);
    if (!created && !canceled) return;
    if (!created && this.#open.length === 0) return;
    const named = /code = (\w+)/.exec(cancelReason)?.[1];
    const refused = [...codeNames].find(([, name]) => name === named)?.[0] ?? GrpcCode.InvalidArgument;
    this.#tell(this.#open.shift(), canceled ? refused : GrpcCode.OK);
  }

  #tell(request: Request | undefined, code: number): void {
    this.#isTold = true;
    const { level, write, wallMs } = this.#options;
    const { path } = this.#method;
    if (level === 'write' && this.#isRead(request) && !this.#isRefusal(code)) return;
    const { fields, name } = this.#fieldsOf(request);
    const line: AuditFields = {
      ts: new Date(wallMs()).toISOString(),
      remote: this.#remote,
      user: path === AUTHENTICATE ? name : this.user,
      cn: this.#commonName === '' ? undefined : this.#commonName,
      via: this.#call.metadata.get(GATEWAY_HEADER) === undefined ? undefined : 'gateway',
      method: path.slice(1),
      ...fields,
      revision: this.#revision === 0 ? undefined : this.#revision,
      code: codeNames.get(code) ?? String(code),
      duration_us: Math.round((performance.now() - (request?.startedMs ?? this.#startedMs)) * 1000),
    };
    write(`${JSON.stringify(line)}\n`);
  }

  #isRead(request: Request | undefined): boolean {
    const { path } = this.#method;
    if (path !== TXN || request === undefined) return READS.has(path);
    try {
      return readsOnly(request.bytes);
    } catch {
      return false;
    }
  }

  /** With auth enabled, an anonymous call that ends in an error was most likely denied. */
  #isRefusal(code: number): boolean {
    if (REFUSALS.has(code)) return true;
    const isNobody = this.user === undefined && this.#options.isAuthEnabled();
    return isNobody && code === GrpcCode.InvalidArgument;
  }

  #fieldsOf(request: Request | undefined): { fields: AuditFields; name: string | undefined } {
    if (request === undefined) return { fields: {}, name: undefined };
    const { request: codec, path } = this.#method;
    try {
      if (path === TXN) return { fields: txnFields(request.bytes), name: undefined };
      const fields = requestFields(codec.typeName, codec.decode(request.bytes) as object);
      const { name, ...rest } = fields;
      return path === AUTHENTICATE
        ? { fields: rest, name: typeof name === 'string' ? name : '' }
        : { fields, name: undefined };
    } catch {
      return { fields: { unreadable: true }, name: undefined };
    }
  }
}

/** Whether a message of a Watch call creates a watch. A message that cannot be decoded counts as one. */
function createsWatch(message: Buffer): boolean {
  try {
    return WatchRequest.decode(message).requestUnion?.case === 'createRequest';
  } catch {
    return true;
  }
}

/** The revision in the response's header; 0 if the response has no header. */
function revisionOf(first: Buffer): number {
  const length = first[1];
  if (first[0] !== HEADER_TAG || length === undefined || length > 0x7f || first.length < 2 + length) return 0;
  try {
    return ResponseHeader.decode(first.subarray(2, 2 + length)).revision;
  } catch {
    return 0;
  }
}
