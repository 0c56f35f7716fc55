import * as grpc from '@grpc/grpc-js';
import protobuf from 'protobufjs';

/** The part of OpenTelemetry's protocol that the tests read. */
const PROTO = `
syntax = "proto3";
message ExportRequest { repeated ResourceSpans resource_spans = 1; }
message ExportResponse {}
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeSpans { Scope scope = 1; repeated Span spans = 2; }
message Scope { string name = 1; }
message Span {
  bytes trace_id = 1;
  bytes span_id = 2;
  bytes parent_span_id = 4;
  string name = 5;
  int32 kind = 6;
  fixed64 start_time_unix_nano = 7;
  fixed64 end_time_unix_nano = 8;
  repeated KeyValue attributes = 9;
  repeated Event events = 11;
  Status status = 15;
}
message Event { fixed64 time_unix_nano = 1; string name = 2; repeated KeyValue attributes = 3; }
message Status { string message = 2; int32 code = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; } }
`;

const { root } = protobuf.parse(PROTO);
const exportRequest = root.lookupType('ExportRequest');
const exportResponse = root.lookupType('ExportResponse');

interface KeyValue {
  readonly key: string;
  readonly value?: Readonly<Record<string, string | boolean>>;
}

interface WireSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes?: readonly KeyValue[];
  readonly events?: readonly { readonly name: string; readonly timeUnixNano: string }[];
  readonly status?: { readonly message: string; readonly code: number };
}

/** A received span. */
export interface ReceivedSpan {
  /** In hexadecimal. */
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the first span of a trace. */
  readonly parentSpanId: string;
  readonly name: string;
  /** 1 for internal, 2 for server. */
  readonly kind: number;
  /** Nanoseconds since the epoch. */
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: Readonly<Record<string, string | boolean>>;
  readonly events: readonly { readonly name: string; readonly at: bigint }[];
  readonly status: number;
  readonly scope: string;
  /** Attributes of the process that sent the span. */
  readonly resource: Readonly<Record<string, string | boolean>>;
}

/** A collector of traces in the OpenTelemetry protocol over gRPC. */
export class TraceCollector {
  readonly spans: ReceivedSpan[] = [];
  readonly address: string;
  readonly #server: grpc.Server;

  private constructor(server: grpc.Server, port: number, spans: ReceivedSpan[]) {
    this.#server = server;
    this.address = `127.0.0.1:${port}`;
    this.spans = spans;
  }

  static async start(): Promise<TraceCollector> {
    const server = new grpc.Server();
    const spans: ReceivedSpan[] = [];
    server.addService(
      {
        export: {
          path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
          requestStream: false,
          responseStream: false,
          requestDeserialize: (bytes: Buffer) => bytes,
          requestSerialize: (bytes: Buffer) => bytes,
          responseSerialize: (bytes: Buffer) => bytes,
          responseDeserialize: (bytes: Buffer) => bytes,
        },
      },
      {
        export: (call: { request: Buffer }, respond: (error: null, response: Buffer) => void): void => {
          spans.push(...spansOf(call.request));
          respond(null, Buffer.from(exportResponse.encode({}).finish()));
        },
      },
    );
    const credentials = grpc.ServerCredentials.createInsecure();
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', credentials, (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      }),
    );
    return new TraceCollector(server, port, spans);
  }

  /** Spans of one trace: first that of the call, then those of its operations. */
  ofTrace(traceId: string): ReceivedSpan[] {
    return this.spans.filter((span) => span.traceId === traceId).toSorted((a, b) => b.kind - a.kind);
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

function spansOf(bytes: Buffer): ReceivedSpan[] {
  const decoded = exportRequest.toObject(exportRequest.decode(bytes), {
    bytes: String,
    longs: String,
    defaults: true,
  }) as {
    resourceSpans: {
      resource?: { attributes: KeyValue[] };
      scopeSpans: { scope?: { name: string }; spans: WireSpan[] }[];
    }[];
  };
  return decoded.resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ scope, spans }) =>
      spans.map((span) => ({
        traceId: hex(span.traceId),
        spanId: hex(span.spanId),
        parentSpanId: hex(span.parentSpanId),
        name: span.name,
        kind: span.kind,
        start: BigInt(span.startTimeUnixNano),
        end: BigInt(span.endTimeUnixNano),
        attributes: valuesOf(span.attributes),
        events: (span.events ?? []).map(({ name, timeUnixNano }) => ({ name, at: BigInt(timeUnixNano) })),
        status: span.status?.code ?? 0,
        scope: scope?.name ?? '',
        resource: valuesOf(resource?.attributes),
      })),
    ),
  );
}

function hex(base64: string): string {
  return Buffer.from(base64, 'base64').toString('hex');
}

function valuesOf(attributes: readonly KeyValue[] = []): Record<string, string | boolean> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value ?? {})[0] ?? '']));
}
