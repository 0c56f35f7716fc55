import { KeyIntervals } from '../lib/key-intervals.ts';
import { type Permission, PermissionType } from '../wire/gen/authpb.ts';

/** What a user may read and write: the permissions of all its roles, merged. */
export class Permissions {
  readonly #read = new KeyIntervals();
  readonly #write = new KeyIntervals();

  add(permission: Permission): void {
    const { permType } = permission;
    if (permType === PermissionType.READ || permType === PermissionType.READWRITE)
      addTo(this.#read, permission);
    if (permType === PermissionType.WRITE || permType === PermissionType.READWRITE)
      addTo(this.#write, permission);
  }

  mayRead(key: Buffer, rangeEnd: Buffer): boolean {
    return isWithin(this.#read, key, rangeEnd);
  }

  mayWrite(key: Buffer, rangeEnd: Buffer): boolean {
    return isWithin(this.#write, key, rangeEnd);
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

function addTo(intervals: KeyIntervals, { key, rangeEnd }: Permission): void {
  if (rangeEnd.length === 0) intervals.addKey(key);
  else intervals.add(key, isOpenEnded(rangeEnd) ? undefined : rangeEnd);
}

function isWithin(intervals: KeyIntervals, key: Buffer, rangeEnd: Buffer): boolean {
  if (rangeEnd.length === 0) return intervals.has(key);
  return intervals.covers(key, isOpenEnded(rangeEnd) ? undefined : rangeEnd);
}
