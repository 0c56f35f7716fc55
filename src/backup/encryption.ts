import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';

/*
 * An encrypted object is a header and a sequence of chunks, by the STREAM construction of Hoang, Reyhanitabar, Rogaway
 * and Vizár ("Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015). The nonce of a chunk has
 * its number, and a mark on the last one. So chunks that are changed, moved, missing or added are found, and so is the
 * end of a truncated object. Each object has a key of its own, made from the key file, a random salt and the id of the
 * backup. So an object under another backup's name is found as well.
 */

const MAGIC = Buffer.from('KSBKENC1');
const SALT_BYTES = 32;
const HEADER_BYTES = MAGIC.length + SALT_BYTES;
/** Plain bytes of each chunk but the last, which may have fewer. */
const CHUNK_BYTES = 256 << 10;
const TAG_BYTES = 16;
const NONCE_BYTES = 12;
const KEY_BYTES = 32;

/** A key file's key. */
export class BackupKey {
  readonly #secret: Buffer;
  /** Names the key without telling anything about it. */
  readonly id: string;

  /** @param secret 32 random bytes */
  constructor(secret: Buffer) {
    if (secret.length !== KEY_BYTES) throw new Error(`a key has ${KEY_BYTES} bytes, not ${secret.length}`);
    this.#secret = secret;
    this.id = createHmac('sha256', secret).update('keystead backup key id').digest('hex').slice(0, 16);
  }

  /**
   * Reads a file with 32 random bytes, or with their text in hexadecimal or base64.
   *
   * @throws Error if the file cannot be read or has something else
   */
  static read(path: string): BackupKey {
    const bytes = readFileSync(path);
    if (bytes.length === KEY_BYTES) return new BackupKey(bytes);
    const text = bytes.toString('latin1').trim();
    if (/^[0-9a-fA-F]{64}$/.test(text)) return new BackupKey(Buffer.from(text, 'hex'));
    if (/^[A-Za-z0-9+/]{43}=$/.test(text)) return new BackupKey(Buffer.from(text, 'base64'));
    throw new Error(`${path} is no key: it must have 32 random bytes, or them in hexadecimal or base64`);
  }

  /** The key of one object. */
  derive(salt: Buffer, id: string): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#secret, salt, `keystead backup ${id}`, KEY_BYTES));
  }
}

/** @param id the id of the backup, which decryption must be given as well */
export async function* encrypted(
  plain: AsyncIterable<Buffer>,
  key: BackupKey,
  id: string,
): AsyncGenerator<Buffer, void> {
  const salt = randomBytes(SALT_BYTES);
  const secret = key.derive(salt, id);
  yield Buffer.concat([MAGIC, salt]);
  let number = 0;
  for await (const { chunk, isLast } of inChunks(plain, CHUNK_BYTES)) {
    const cipher = createCipheriv('aes-256-gcm', secret, nonce(number, isLast));
    yield Buffer.concat([cipher.update(chunk), cipher.final(), cipher.getAuthTag()]);
    number += 1;
  }
}

/** @throws Error if the bytes are not what `encrypted` made with this key and id, for example cut off */
export async function* decrypted(
  bytes: AsyncIterable<Buffer>,
  key: BackupKey,
  id: string,
): AsyncGenerator<Buffer, void> {
  const [header, rest] = await takeHeader(bytes);
  if (header.length < HEADER_BYTES || !header.subarray(0, MAGIC.length).equals(MAGIC))
    throw new Error('it is not an encrypted object of Keystead');
  const secret = key.derive(header.subarray(MAGIC.length), id);
  let number = 0;
  for await (const { chunk, isLast } of inChunks(rest, CHUNK_BYTES + TAG_BYTES)) {
    const plain = open(secret, chunk, number, isLast);
    if (plain === undefined) {
      if (isLast && open(secret, chunk, number, false) !== undefined)
        throw new Error(`it is cut off after ${number + 1} chunks`);
      throw new Error(`chunk ${number} is damaged, in the wrong place, or encrypted with another key`);
    }
    yield plain;
    number += 1;
  }
}

/** Undefined if the chunk is not authentic. */
function open(secret: Buffer, chunk: Buffer, number: number, isLast: boolean): Buffer | undefined {
  if (chunk.length < TAG_BYTES) return undefined;
  const end = chunk.length - TAG_BYTES;
  const decipher = createDecipheriv('aes-256-gcm', secret, nonce(number, isLast), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAuthTag(chunk.subarray(end));
  const plain = decipher.update(chunk.subarray(0, end));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return plain;
}

function nonce(number: number, isLast: boolean): Buffer {
  const bytes = Buffer.alloc(NONCE_BYTES);
  bytes.writeBigUInt64BE(BigInt(number), 0);
  bytes[NONCE_BYTES - 1] = isLast ? 1 : 0;
  return bytes;
}

async function takeHeader(bytes: AsyncIterable<Buffer>): Promise<[Buffer, AsyncIterable<Buffer>]> {
  const iterator = bytes[Symbol.asyncIterator]();
  let head: Buffer = Buffer.alloc(0);
  while (head.length < HEADER_BYTES) {
    const next = await iterator.next();
    if (next.done === true) break;
    head = Buffer.concat([head, next.value]);
  }
  async function* rest(): AsyncGenerator<Buffer, void> {
    try {
      yield head.subarray(HEADER_BYTES);
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next())
        yield next.value;
    } finally {
      await iterator.return?.();
    }
  }
  return [head.subarray(0, HEADER_BYTES), rest()];
}

/** Cuts a stream into chunks of one size. The last one may be shorter, and is empty only if there are no bytes. */
async function* inChunks(
  bytes: AsyncIterable<Buffer>,
  size: number,
): AsyncGenerator<{ readonly chunk: Buffer; readonly isLast: boolean }, void> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const part of bytes) {
    parts.push(part);
    length += part.length;
    // A full chunk waits for the next byte, because it may be the last one.
    if (length <= size) continue;
    const all = Buffer.concat(parts);
    let at = 0;
    for (; length - at > size; at += size) yield { chunk: all.subarray(at, at + size), isLast: false };
    parts = [all.subarray(at)];
    length -= at;
  }
  yield { chunk: Buffer.concat(parts), isLast: true };
}
