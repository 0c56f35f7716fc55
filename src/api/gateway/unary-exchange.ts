import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LocalCall, LocalSink } from '../../grpc/local-call.ts';
import { GrpcCode } from '../../wire/errors.ts';
import { decodeJson, encodeJson, JsonError } from '../../wire/json.ts';
import { reply } from '../http/reply.ts';
import type { GatewayCall } from './gateway.ts';
import { replyJsonError, replyTooLong } from './json-error.ts';

/** One request of a method without streams, and its response. */
export class UnaryExchange implements LocalSink {
  readonly queuedBytes = 0;
  readonly #call: GatewayCall;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  #local: LocalCall | undefined;
  #message: Buffer | undefined;
  #isDone = false;

  constructor(call: GatewayCall, request: IncomingMessage, response: ServerResponse) {
    this.#call = call;
    this.#request = request;
    this.#response = response;
  }

  start(): void {
    const chunks: Buffer[] = [];
    let bytes = 0;
    this.#request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= this.#call.maxTextBytes) chunks.push(chunk);
      else this.#refuseLength();
    });
    this.#request.on('end', () => {
      if (!this.#isDone) this.#run(Buffer.concat(chunks));
    });
    this.#request.on('error', () => this.#local?.cancel());
    this.#response.on('close', () => {
      this.#isDone = true;
      this.#local?.cancel();
    });
  }

  message(message: Buffer): void {
    this.#message = message;
  }

  end(code: number, message: string): void {
    if (this.#isDone) return;
    if (code !== GrpcCode.OK) {
      this.#fail(code, message);
      return;
    }
    this.#isDone = true;
    const { response } = this.#call.method;
    const decoded = response.decode(this.#message ?? Buffer.alloc(0));
    const body = encodeJson(response.typeName, decoded as Record<string, unknown>);
    reply(this.#response, 200, SUCCESS_HEADERS, body);
  }

  #run(text: Buffer): void {
    const { server, method, metadata, timeoutMs } = this.#call;
    let message: Buffer;
    try {
      message = method.request.encode(decodeJson(method.request.typeName, text.toString()));
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      this.#fail(GrpcCode.InvalidArgument, error.message);
      return;
    }
    const { socket, headers } = this.#request;
    const request = { path: method.path, metadata, socket, authority: headers.host ?? '', timeoutMs };
    this.#local = server.callLocally(request, this);
    if (this.#local === undefined) {
      this.#fail(GrpcCode.Unimplemented, `unknown method ${method.name}`);
      return;
    }
    this.#local.send(message);
    this.#local.halfClose();
  }

  #refuseLength(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    replyTooLong(this.#response);
  }

  #fail(code: number, message: string): void {
    if (this.#isDone) return;
    this.#isDone = true;
    replyJsonError(this.#response, code, message);
  }
}

export const SUCCESS_HEADERS = [
  ['Content-Type', 'application/json'],
  ['Grpc-Metadata-Content-Type', 'application/grpc'],
] as const;
