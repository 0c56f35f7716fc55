import { KeyIntervals } from '../lib/key-intervals.ts';
import { type Permission, PermissionType } from '../wire/gen/authpb.ts';
import { InvertedRanges, type KeyInterval } from './inverted-ranges.ts';

/** What a user may read and write: the permissions of all its roles, merged. */
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
    return this.#read.hold(key, rangeEnd);
  }

  mayWrite(key: Buffer, rangeEnd: Buffer): boolean {
    return this.#write.hold(key, rangeEnd);
  }
}

/** A permission's range reads like a request's: no end is the one key, and "\0" is everything from the key on. */
export function isOpenEnded(rangeEnd: Buffer): boolean {
  return rangeEnd.length === 1 && rangeEnd[0] === 0;
}

/** A permission must name a key, and a range that holds something. */
export function isValidPermissionRange(key: Buffer, rangeEnd: Buffer): boolean {
  if (key.length === 0) return false;
  return rangeEnd.length === 0 || Buffer.compare(key, rangeEnd) < 0 || isOpenEnded(rangeEnd);
}

const ZERO = Buffer.alloc(1);

class PermittedKeys {
  readonly #merged = new KeyIntervals();
  readonly #granted: KeyInterval[] = [];
  /** Made when the first inverted range is asked about, which is next to never. */
  #inverted: InvertedRanges | undefined;

  add({ key, rangeEnd }: Permission): void {
    const end =
      rangeEnd.length === 0 ? Buffer.concat([key, ZERO]) : isOpenEnded(rangeEnd) ? undefined : rangeEnd;
    this.#merged.add(key, end);
    this.#granted.push({ begin: key, end });
    this.#inverted = undefined;
  }

  hold(key: Buffer, rangeEnd: Buffer): boolean {
    if (rangeEnd.length === 0) return this.#merged.has(key);
    if (isOpenEnded(rangeEnd)) return this.#merged.covers(key, undefined);
    if (Buffer.compare(rangeEnd, key) >= 0) return this.#merged.covers(key, rangeEnd);
    this.#inverted ??= new InvertedRanges(this.#granted);
    return this.#inverted.isPermitted(key, rangeEnd);
  }
}
