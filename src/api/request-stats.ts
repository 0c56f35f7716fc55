import type { SlowCall, SlowCalls } from '../grpc/slow-calls.ts';
import type { Logger } from '../ports/logger.ts';
import {
  DeleteRangeResponse,
  PutRequest,
  RangeResponse,
  TxnRequest,
  type RequestOp,
} from '../wire/gen/etcdserverpb.ts';
import * as messages from '../wire/gen/etcdserverpb.ts';
import { enums, messages as descriptors } from '../wire/gen/descriptors.ts';
import { Reader } from '../wire/reader.ts';
import { FAILURE, hasSucceeded, operationsOf, SUCCESS } from './txn-operations.ts';
import { formatGoDuration } from '../config/go-syntax.ts';

/** Larger responses are not decoded for a log line, because that would delay all other calls. */
const MAX_DECODED_BYTES = 64 * 1024;
/** The longest part of a request that a line shows; etcd shows all of it. */
const MAX_CONTENT_CHARS = 4096;

interface Stats {
  readonly requestCount: number;
  readonly requestSize: number;
  readonly responseCount: number;
  readonly content: string;
}

/** Writes etcd's `request stats` line for each slow unary call, or for every unary call at log level debug. */
export class RequestStats implements SlowCalls {
  readonly thresholdMs: number;
  readonly #logger: Logger;
  readonly #isDebug: boolean;

  constructor(logger: Logger, { warnAfterMs, isDebug }: { warnAfterMs: number; isDebug: boolean }) {
    this.thresholdMs = isDebug ? -1 : warnAfterMs;
    this.#logger = logger;
    this.#isDebug = isDebug;
  }

  report(call: SlowCall): void {
    const stats = statsOf(call);
    const fields = {
      'start time': new Date(Date.now() - call.tookMs).toISOString(),
      'time spent': formatGoDuration(Math.round(call.tookMs * 1000) / 1000),
      remote: call.peer,
      'response type': call.path,
      'request count': stats?.requestCount ?? -1,
      'request size': stats?.requestSize ?? -1,
      'response count': stats?.responseCount ?? -1,
      'response size': stats === undefined ? -1 : call.responseBytes,
      'request content': stats?.content ?? '',
    };
    if (this.#isDebug) this.#logger.debug('request stats', fields);
    else this.#logger.warn('request stats', fields);
  }
}

/** Undefined for calls of which etcd logs only the time. */
function statsOf({ path, request, response, responseBytes }: SlowCall): Stats | undefined {
  const answer = responseBytes > MAX_DECODED_BYTES ? undefined : joined(response);
  const unknown = responseBytes > MAX_DECODED_BYTES ? -1 : 0;
  const requestSize = request.length;
  try {
    switch (path) {
      case '/etcdserverpb.KV/Range': {
        const responseCount = answer === undefined ? unknown : RangeResponse.decode(answer).count;
        const content = text('etcdserverpb.RangeRequest', messages.RangeRequest.decode(request));
        return { requestCount: 0, requestSize, responseCount, content: cut(content) };
      }
      case '/etcdserverpb.KV/Put': {
        const content = text('etcdserverpb.PutRequest', PutRequest.decode(request));
        return { requestCount: 1, requestSize, responseCount: 0, content: cut(content) };
      }
      case '/etcdserverpb.KV/DeleteRange': {
        const responseCount = answer === undefined ? unknown : DeleteRangeResponse.decode(answer).deleted;
        const content = text('etcdserverpb.DeleteRangeRequest', messages.DeleteRangeRequest.decode(request));
        return { requestCount: 0, requestSize, responseCount, content: cut(content) };
      }
      case '/etcdserverpb.KV/Txn':
        return txnStats(request, answer);
      default:
        return undefined;
    }
  } catch {
    // A request that cannot be decoded was answered with an error that says so.
    return undefined;
  }
}

function txnStats(request: Buffer, answer: Buffer | undefined): Stats {
  const content = txnContent(request);
  if (answer === undefined) return { requestCount: 0, requestSize: 0, responseCount: 0, content };
  const run = operationsOf(request, hasSucceeded(answer) ? SUCCESS : FAILURE);
  return { requestCount: run.count, requestSize: run.bytes, responseCount: 0, content };
}

/** Decodes only the first operations of a large transaction. */
function txnContent(request: Buffer): string {
  const reader = new Reader(request);
  const end = reader.endOfFields(MAX_DECODED_BYTES);
  const shownPart = txnText(TxnRequest.read(reader, end));
  return end === request.length ? cut(shownPart) : `${shownPart.slice(0, MAX_CONTENT_CHARS)}...`;
}

function joined(response: Buffer | readonly Buffer[] | undefined): Buffer | undefined {
  if (response === undefined || Buffer.isBuffer(response)) return response;
  return Buffer.concat(response);
}

function cut(content: string): string {
  return content.length <= MAX_CONTENT_CHARS ? content : `${content.slice(0, MAX_CONTENT_CHARS)}...`;
}

function txnText({ compare, success, failure }: TxnRequest): string {
  const compares = shown(compare, (each) => text('etcdserverpb.Compare', each));
  return `compare:<${compares}> success:<${opsText(success)}> failure:<${opsText(failure)}>`;
}

function opsText(ops: readonly RequestOp[]): string {
  return shown(ops, ({ request }) => {
    if (request?.case === 'requestTxn') return `request_txn:<${txnText(request.value)}>`;
    if (request?.case === 'requestPut')
      return `request_put:<${text('etcdserverpb.PutRequest', request.value)}>`;
    if (request?.case === 'requestRange')
      return `request_range:{${text('etcdserverpb.RangeRequest', request.value)}}`;
    if (request?.case === 'requestDeleteRange')
      return `request_delete_range:{${text('etcdserverpb.DeleteRangeRequest', request.value)}}`;
    return '';
  });
}

/** The texts of all items, or as many as a line can show. */
function shown<Item>(items: readonly Item[], textOf: (item: Item) => string): string {
  let all = '';
  for (const [place, item] of items.entries()) {
    all += `${place === 0 ? '' : ' '}${textOf(item)}`;
    if (all.length > MAX_CONTENT_CHARS) break;
  }
  return all;
}

/** The fields that are set, in protobuf's text format. For a value only the size is shown. */
function text(type: string, message: object): string {
  const values = message as Readonly<Record<string, unknown>>;
  const parts: string[] = [];
  for (const { name, protoName, oneof, kind, type: enumType } of descriptors[type]?.fields ?? []) {
    const held = oneof === undefined ? values[name] : ofCase(values[oneof], name);
    if (held === undefined || (oneof === undefined && isDefault(held))) continue;
    if (protoName === 'value' && Buffer.isBuffer(held)) parts.push(`value_size:${held.length}`);
    else if (Buffer.isBuffer(held)) parts.push(`${protoName}:${quoted(held)}`);
    else if (kind === 'enum') parts.push(`${protoName}:${enumName(enumType, held)}`);
    else parts.push(`${protoName}:${typeof held === 'string' ? held : scalarText(held)}`);
  }
  // etcd prints redacted messages in protobuf's older format, which ends with a space.
  const isRedacted =
    type === 'etcdserverpb.PutRequest' || parts.some((part) => part.startsWith('value_size:'));
  return parts.join(' ') + (isRedacted ? ' ' : '');
}

function ofCase(held: unknown, name: string): unknown {
  const { case: which, value } = (held ?? {}) as { readonly case?: string; readonly value?: unknown };
  return which === name ? value : undefined;
}

function scalarText(value: unknown): string {
  return typeof value === 'bigint' ? value.toString() : JSON.stringify(value);
}

function isDefault(value: unknown): boolean {
  return value === 0 || value === 0n || value === false || (Buffer.isBuffer(value) && value.length === 0);
}

function enumName(type: string | undefined, value: unknown): string {
  const found = Object.entries(enums[type ?? ''] ?? {}).find(([, number]) => number === value);
  return found?.[0] ?? String(value);
}

const short: Readonly<Record<number, string>> = { 9: '\\t', 10: '\\n', 13: '\\r', 34: '\\"', 92: '\\\\' };

function quoted(bytes: Buffer): string {
  let quotedText = '';
  for (const byte of bytes.subarray(0, MAX_CONTENT_CHARS)) {
    const isPrintable = byte >= 0x20 && byte < 0x7f;
    quotedText +=
      short[byte] ?? (isPrintable ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`);
  }
  return `"${quotedText}"`;
}
