import { startWorker } from '../../threads/start-worker.ts';
import type { MessageCodec } from '../../wire/codec.ts';
import { decodeJson, JsonError } from '../../wire/json.ts';

/** The work of a JSON worker. */
export interface JsonTask {
  readonly typeName: string;
  readonly text: Uint8Array;
}

type Outcome = { readonly message: Uint8Array } | { readonly fault: string };

const COMMA = 0x2c;
const BACKSLASH = 0x5c;
/** A text with so many elements or escapes takes a few milliseconds. */
const MANY = 4096;

/** One text at a time: a client that sends many of them gets one thread. */
let last: Promise<unknown> = Promise.resolve();

/** Whether the decoding of a text would take long: it has very many elements or escapes, whatever its length is. */
export function isLargeJson(text: Buffer): boolean {
  if (text.length < MANY) return false;
  let left = MANY;
  for (const byte of [COMMA, BACKSLASH])
    for (let at = text.indexOf(byte); at >= 0; at = text.indexOf(byte, at + 1)) if (--left === 0) return true;
  return false;
}

/**
 * Decodes a request on a thread of its own, after the requests before it. The thread ends with it: such requests are
 * rare. Without a thread it is decoded here.
 *
 * @param isNeeded asked when its turn comes
 * @returns the encoded message; undefined if it is no longer needed
 * @throws JsonError
 */
export function decodeLargeJson(
  request: MessageCodec<unknown>,
  text: Buffer,
  isNeeded: () => boolean,
): Promise<Buffer | undefined> {
  const decoded = last.then(() => (isNeeded() ? decodeAside(request, text) : undefined));
  last = decoded.catch(() => undefined);
  return decoded;
}

async function decodeAside(request: MessageCodec<unknown>, text: Buffer): Promise<Buffer> {
  const { typeName } = request;
  const outcome = await inThread({ typeName, text: new Uint8Array(text) });
  if (outcome === undefined) return request.encode(decodeJson(typeName, text));
  if ('fault' in outcome) throw new JsonError(outcome.fault);
  const { buffer, byteOffset, byteLength } = outcome.message;
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** Returns undefined if the thread failed, as when the system has no further thread. */
async function inThread(task: JsonTask): Promise<Outcome | undefined> {
  const worker = startWorker('json-worker', { workerData: task });
  const outcome = await new Promise<Outcome | undefined>((resolve) => {
    worker.once('message', resolve);
    worker.once('error', () => resolve(undefined));
    worker.once('exit', () => resolve(undefined));
  });
  await worker.terminate();
  return outcome;
}
