import { Reader } from '../wire/reader.ts';

/** A request names its keys first. Further fields are not searched. */
const MAX_FIELDS = 16;
const LENGTH_DELIMITED = 2;

export interface RequestKey {
  readonly key: Buffer;
  readonly isRange: boolean;
}

/** Of a transaction: the key of its first comparison, otherwise that of its first operation. */
const txnPaths: readonly (readonly number[])[] = [
  [1, 3],
  ...[2, 3].flatMap((branch) => [1, 2, 3].map((operation) => [branch, operation, 1])),
];

/**
 * The first key of an encoded request. Reads only the first fields, so that a request with many operations costs nothing
 * more. Undefined for requests without a key and for invalid ones.
 */
export function requestKey(path: string, request: Buffer): RequestKey | undefined {
  try {
    switch (path) {
      case '/etcdserverpb.KV/Range':
      case '/etcdserverpb.KV/DeleteRange':
        return found(fieldAt(request, [1]), fieldAt(request, [2]) !== undefined);
      case '/etcdserverpb.KV/Put':
        return found(fieldAt(request, [1]), false);
      case '/etcdserverpb.KV/Txn':
        for (const each of txnPaths) {
          const key = fieldAt(request, each);
          if (key !== undefined) return { key, isRange: false };
        }
        return undefined;
      default:
        return undefined;
    }
  } catch {
    // It was answered with an error that says so.
    return undefined;
  }
}

function found(key: Buffer | undefined, isRange: boolean): RequestKey | undefined {
  return key === undefined ? undefined : { key, isRange };
}

/** The bytes of the first field with each number, one inside the other. */
function fieldAt(message: Buffer, path: readonly number[]): Buffer | undefined {
  let bytes: Buffer | undefined = message;
  for (const number of path) {
    if (bytes === undefined) return undefined;
    bytes = firstField(bytes, number);
  }
  return bytes;
}

function firstField(message: Buffer, number: number): Buffer | undefined {
  const reader = new Reader(message);
  for (let fields = 0; fields < MAX_FIELDS && reader.position < reader.length; fields += 1) {
    const tag = reader.tag();
    if (tag >>> 3 === number && (tag & 7) === LENGTH_DELIMITED) return reader.bytes();
    reader.skip(tag);
  }
  return undefined;
}
