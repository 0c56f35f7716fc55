/*
 * Distributed tracing by the SDK of OpenTelemetry, with the spans of etcd. This folder is a file of its own in the build.
 * It is loaded only with --enable-distributed-tracing.
 */
import { credentials } from '@grpc/grpc-js';
import { defaultTextMapGetter, ROOT_CONTEXT, SpanKind, type Tracer } from '@opentelemetry/api';
import { ExportResultCode, W3CTraceContextPropagator, type ExportResult } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  type ReadableSpan,
  type SpanExporter,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-base';
import type { Call } from '../grpc/call.ts';
import type { CallTrace, CallTracer } from '../grpc/call-trace.ts';
import type { Logger } from '../ports/logger.ts';
import { SpansOfCall } from './spans-of-call.ts';

/** etcd's names of the two sources of spans. Filters of collectors use them. */
const CALLS = 'go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc';
const OPERATIONS = 'go.etcd.io/etcd';

export interface TracingOptions {
  /** Address of the collector, `host:port`. It gets OTLP over gRPC, without TLS as from etcd. */
  readonly address: string;
  readonly serviceName: string;
  /** Empty for none. */
  readonly instanceId: string;
  /** Traces per million calls that have no parent. The parent of a call decides for it. */
  readonly samplesPerMillion: number;
  readonly logger: Logger;
}

/** Traces calls and sends their spans in batches. At most 2048 spans wait; more are dropped. */
export class OtelTracing implements CallTracer {
  readonly #provider: BasicTracerProvider;
  readonly #calls: Tracer;
  readonly #operations: Tracer;
  readonly #propagator = new W3CTraceContextPropagator();

  constructor({ address, serviceName, instanceId, samplesPerMillion, logger }: TracingOptions) {
    const exporter = new OTLPTraceExporter({
      url: `http://${address}`,
      credentials: credentials.createInsecure(),
    });
    const root =
      samplesPerMillion === 0
        ? new AlwaysOffSampler()
        : new TraceIdRatioBasedSampler(samplesPerMillion / 1_000_000);
    this.#provider = new BasicTracerProvider({
      resource: resourceFromAttributes({
        'service.name': serviceName,
        ...(instanceId === '' ? {} : { 'service.instance.id': instanceId }),
      }),
      sampler: new ParentBasedSampler({ root }),
      spanProcessors: [new BatchSpanProcessor(new ReportingExporter(exporter, logger))],
    });
    this.#calls = this.#provider.getTracer(CALLS);
    this.#operations = this.#provider.getTracer(OPERATIONS);
  }

  trace(path: string, call: Call): CallTrace | undefined {
    const { metadata } = call;
    const carrier = { traceparent: metadata.get('traceparent'), tracestate: metadata.get('tracestate') };
    const parent =
      carrier.traceparent === undefined
        ? ROOT_CONTEXT
        : this.#propagator.extract(ROOT_CONTEXT, carrier, defaultTextMapGetter);
    const method = path.slice(1);
    const attributes = { 'rpc.method': method, 'rpc.system.name': 'grpc', ...peerAttributes(call.peer) };
    const span = this.#calls.startSpan(method, { kind: SpanKind.SERVER, attributes }, parent);
    return span.isRecording() ? new SpansOfCall(this.#operations, span) : undefined;
  }

  /** Sends the spans that wait. */
  stop(): Promise<void> {
    return this.#provider.shutdown();
  }
}

/** As etcd, these are of the client, although their names say otherwise. */
function peerAttributes(peer: string): Readonly<Record<string, string | number>> {
  const colon = peer.lastIndexOf(':');
  if (colon < 0) return {};
  const address = peer.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  return { 'server.address': address, 'server.port': Number(peer.slice(colon + 1)) };
}

/** Logs each batch that could not be sent. */
class ReportingExporter implements SpanExporter {
  readonly #exporter: SpanExporter;
  readonly #logger: Logger;

  constructor(exporter: SpanExporter, logger: Logger) {
    this.#exporter = exporter;
    this.#logger = logger;
  }

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.#exporter.export(spans, (result) => {
      if (result.code === ExportResultCode.FAILED)
        this.#logger.warn('failed to export traces', {
          spans: spans.length,
          error: result.error?.message ?? 'unknown',
        });
      done(result);
    });
  }

  forceFlush(): Promise<void> {
    return this.#exporter.forceFlush?.() ?? Promise.resolve();
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown();
  }
}
