import { Readable } from 'node:stream';

export interface StoredObject {
  readonly name: string;
  readonly bytes: number;
  /** When it was written, by the clock of the place, in milliseconds since 1970. */
  readonly modifiedMs: number;
}

/** Where backups are stored: a folder, or a bucket of an object store with a prefix. */
export interface BackupPlace {
  /** Without credentials. */
  readonly url: string;
  /** All objects of the place, in any order. */
  list(): Promise<StoredObject[]>;
  /** Writes an object, replacing one of the same name. It is complete and durable when the promise resolves. */
  put(name: string, bytes: AsyncIterable<Buffer>): Promise<void>;
  /** Reads an object. The iterator throws a `MissingObjectError` if there is none. */
  get(name: string): AsyncIterable<Buffer>;
  /** Does nothing if there is no such object. */
  remove(name: string): Promise<void>;
  /** A folder inside it. Its objects are not in this place's list. */
  folder(name: string): BackupPlace;
}

export class MissingObjectError extends Error {
  constructor(name: string) {
    super(`${name} is missing`);
  }
}

/** An object of one part. */
export function onePart(bytes: Buffer): AsyncIterable<Buffer> {
  return Readable.from([bytes]);
}

/** Reads a whole object of limited size. */
export async function readSmall(place: BackupPlace, name: string, maxBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of place.get(name)) {
    parts.push(part);
    bytes += part.length;
    if (bytes > maxBytes) throw new Error(`${name} has more than ${maxBytes} bytes`);
  }
  return Buffer.concat(parts);
}
