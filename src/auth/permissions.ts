import { KeyIntervals } from '../lib/key-intervals.ts';
import { type Permission, PermissionType } from '../wire/gen/authpb.ts';
import { InvertedRanges, type KeyInterval } from './inverted-ranges.ts';

/** The keys that a user may read and write: the merged permissions of all its roles. */
export class Permissions {
  readonly #read = new PermittedKeys();
  readonly #write = new PermittedKeys();

  add(permission: Permission): void {
    const { permType } = permission;
    if (permType === PermissionType.READ || permType === PermissionType.READWRITE) this.#read.add(permission);
    if (permType === PermissionType.WRITE || permType === PermissionType.READWRITE)
      this.#write.add(permission);
  }

  mayRead(key: Buffer, rangeEnd: Buffer): boolean {
    return this.#read.cover(key, rangeEnd);
  }

  mayWrite(key: Buffer, rangeEnd: Buffer): boolean {
    return this.#write.cover(key, rangeEnd);
  }
}

/** As in requests, an empty end means one key, and the end "\0" means all keys from the given one on. */
export function isOpenEnded(rangeEnd: Buffer): boolean {
  return rangeEnd.length === 1 && rangeEnd[0] === 0;
}

/** A permission must have a key, and its range must not be empty. */
export function isValidPermissionRange(key: Buffer, rangeEnd: Buffer): boolean {
  if (key.length === 0) return false;
  return rangeEnd.length === 0 || Buffer.compare(key, rangeEnd) < 0 || isOpenEnded(rangeEnd);
}

const ZERO = Buffer.alloc(1);

class PermittedKeys {
  readonly #merged = new KeyIntervals();
  readonly #granted: KeyInterval[] = [];
  /** Built for the first inverted range, which hardly ever happens. */
  #inverted: InvertedRanges | undefined;

  add({ key, rangeEnd }: Permission): void {
    const end =
      rangeEnd.length === 0 ? Buffer.concat([key, ZERO]) : isOpenEnded(rangeEnd) ? undefined : rangeEnd;
    this.#merged.add(key, end);
    this.#granted.push({ begin: key, end });
    this.#inverted = undefined;
  }

  cover(key: Buffer, rangeEnd: Buffer): boolean {
    if (rangeEnd.length === 0) return this.#merged.has(key);
    if (isOpenEnded(rangeEnd)) return this.#merged.covers(key, undefined);
    if (Buffer.compare(rangeEnd, key) >= 0) return this.#merged.covers(key, rangeEnd);
    this.#inverted ??= new InvertedRanges(this.#granted);
    return this.#inverted.isPermitted(key, rangeEnd);
  }
}
