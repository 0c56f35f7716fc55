import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LocalCall, LocalSink } from '../../grpc/local-call.ts';
import { GrpcCode } from '../../wire/errors.ts';
import { decodeJson, encodeJson, JsonError } from '../../wire/json.ts';
import type { GatewayCall } from './gateway.ts';
import { errorBody, httpStatus, replyJsonError, replyTooLong } from './json-error.ts';
import { JsonTooLongError, JsonValues } from './json-values.ts';
import { SUCCESS_HEADERS } from './unary-exchange.ts';

/**
 * A method with streams: requests are JSON values one after another in the body, responses a line each in chunks.
 */
export class StreamExchange implements LocalSink {
  readonly #call: GatewayCall;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #values: JsonValues;
  #local: LocalCall | undefined;
  #received = 0;
  #isHalfClosed = false;
  #hasAnswered = false;
  #isDone = false;

  constructor(call: GatewayCall, request: IncomingMessage, response: ServerResponse) {
    this.#call = call;
    this.#request = request;
    this.#response = response;
    this.#values = new JsonValues(call.maxTextBytes);
  }

  get queuedBytes(): number {
    return this.#response.writableLength;
  }

  start(): void {
    const { server, method, metadata, timeoutMs } = this.#call;
    const { socket, headers } = this.#request;
    const request = { path: method.path, metadata, socket, authority: headers.host ?? '', timeoutMs };
    this.#local = server.callLocally(request, this);
    if (this.#local === undefined) {
      this.end(GrpcCode.Unimplemented, `unknown method ${method.name}`);
      return;
    }
    this.#request.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#request.on('end', () => this.#receiveEnd());
    this.#request.on('error', () => this.#local?.cancel());
    this.#response.on('drain', () => this.#local?.drained());
    this.#response.on('close', () => {
      this.#isDone = true;
      this.#local?.cancel();
    });
  }

  message(message: Buffer): void {
    if (this.#isDone) return;
    const { response } = this.#call.method;
    if (!this.#hasAnswered) this.#begin(200, SUCCESS_HEADERS);
    const decoded = response.decode(message);
    const text = encodeJson(response.typeName, decoded as Record<string, unknown>);
    this.#response.write(`{"result":${text}}\n`);
  }

  end(code: number, message: string): void {
    if (this.#isDone) return;
    this.#isDone = true;
    if (code === GrpcCode.OK) {
      if (!this.#hasAnswered) this.#begin(200, []);
      this.#response.end();
      return;
    }
    if (!this.#hasAnswered) this.#begin(httpStatus(code), [['Content-Type', 'application/json']]);
    this.#response.write(`{"error":${errorBody(code, message)}}\n`);
    this.#response.end();
  }

  #begin(status: number, headers: readonly (readonly [string, string])[]): void {
    const response = this.#response;
    this.#hasAnswered = true;
    response.statusCode = status;
    response.sendDate = false;
    for (const [name, value] of headers) response.setHeader(name, value);
    response.setHeader('Date', new Date().toUTCString());
    response.setHeader('Transfer-Encoding', 'chunked');
    response.removeHeader('Connection');
    response.flushHeaders();
  }

  #receive(chunk: Buffer): void {
    if (this.#isHalfClosed) return;
    try {
      for (const value of this.#values.push(chunk)) this.#send(value);
    } catch (error) {
      this.#refuse(error);
    }
  }

  #receiveEnd(): void {
    if (this.#isHalfClosed) return;
    try {
      const rest = this.#values.rest();
      // A method with one request takes an empty body for an empty message.
      const isMissing = this.#received === 0 && !this.#call.method.clientStreaming;
      if (rest !== undefined || isMissing) this.#send(rest ?? Buffer.alloc(0));
      this.#halfClose();
    } catch (error) {
      this.#refuse(error);
    }
  }

  #send(value: Buffer): void {
    const { request, clientStreaming } = this.#call.method;
    if (this.#isHalfClosed || (this.#received > 0 && !clientStreaming)) return;
    const message = request.encode(decodeJson(request.typeName, value.toString()));
    this.#received++;
    this.#local?.send(message);
  }

  #halfClose(): void {
    this.#isHalfClosed = true;
    this.#local?.halfClose();
  }

  /** What cannot be read ends the requests; as the first of them it is an answer, as etcd's gateway gives none. */
  #refuse(error: unknown): void {
    const isTooLong = error instanceof JsonTooLongError;
    if (!isTooLong && !(error instanceof JsonError)) throw error;
    if (this.#received > 0) {
      this.#halfClose();
      return;
    }
    this.#isHalfClosed = true;
    if (!this.#isDone && !this.#hasAnswered) {
      this.#isDone = true;
      if (isTooLong) replyTooLong(this.#response);
      else replyJsonError(this.#response, GrpcCode.InvalidArgument, error.message);
    }
    this.#local?.cancel();
  }
}
