import {
  type Attributes,
  ROOT_CONTEXT,
  type Span,
  SpanStatusCode,
  trace,
  type Tracer,
} from '@opentelemetry/api';
import type { CallTrace, TraceAttributes, TracedOperation } from '../grpc/call-trace.ts';

/** gRPC's codes by number, in the spelling of traces. */
const CODES = [
  ...['OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS'],
  ...['PERMISSION_DENIED', 'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE'],
  ...['UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED'],
];
/** The codes that are faults of the server. */
const FAULTS: ReadonlySet<string | undefined> = new Set([
  ...['UNKNOWN', 'DEADLINE_EXCEEDED', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS'],
]);

/** The span of a call and the spans of its operations. */
export class SpansOfCall implements CallTrace {
  readonly #tracer: Tracer;
  readonly #call: Span;
  /** Operations in progress, in the order in which they began. */
  readonly #operations: Span[] = [];
  #ended = false;

  constructor(tracer: Tracer, call: Span) {
    this.#tracer = tracer;
    this.#call = call;
  }

  begin(name: string, attributes: TraceAttributes): TracedOperation {
    const parent = trace.setSpan(ROOT_CONTEXT, this.#call);
    const span = this.#tracer.startSpan(name, { attributes: plain(attributes) }, parent);
    this.#operations.push(span);
    return {
      end: () => {
        const at = this.#operations.indexOf(span);
        if (at < 0) return;
        this.#operations.splice(at, 1);
        span.end();
      },
    };
  }

  event(name: string): void {
    this.#current.addEvent(name);
  }

  failed(error: Error): void {
    this.#current.recordException(error);
  }

  ended(code: number, message: string): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const span of this.#operations.splice(0)) span.end();
    const name = CODES[code];
    this.#call.setAttribute('rpc.response.status_code', name ?? `CODE(${code})`);
    if (FAULTS.has(name)) this.#call.setStatus({ code: SpanStatusCode.ERROR, message });
    this.#call.end();
  }

  get #current(): Span {
    return this.#operations.at(-1) ?? this.#call;
  }
}

/** Ids of leases have 64 bits, which a number cannot hold. */
function plain(attributes: TraceAttributes): Attributes {
  const values: Attributes = {};
  for (const [name, value] of Object.entries(attributes))
    values[name] =
      typeof value !== 'bigint' ? value : Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  return values;
}
