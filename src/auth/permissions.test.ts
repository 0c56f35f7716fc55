import { describe, expect, it } from 'vitest';
import { Permission, PermissionType } from '../wire/gen/authpb.ts';
import { manyPermissionsCases } from './permissions.cases.ts';
import { isValidPermissionRange, Permissions } from './permissions.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

function granted(...ranges: readonly (readonly [string, string])[]): Permissions {
  const permissions = new Permissions();
  for (const [key, rangeEnd] of ranges)
    permissions.add(
      Permission.create({ permType: PermissionType.READ, key: bytes(key), rangeEnd: bytes(rangeEnd) }),
    );
  return permissions;
}

describe('valid ranges of permissions', () => {
  it.each([
    ['', '', false],
    ['', 'b', false],
    ['', '\0', false],
    ['\0', '', true],
    ['\0', '\0', true],
    ['a', '', true],
    ['a', 'a', false],
    ['a', 'a\0', true],
    ['b', 'a', false],
    ['b', '\0', true],
    ['b', '\0\0', false],
    ['\xff', '\xff', false],
    ['\xff', '\xff\0', true],
    ['\xff', '\0', true],
  ])('%j to %j: %j', (key, rangeEnd, isValid) => {
    expect(isValidPermissionRange(bytes(key), bytes(rangeEnd))).toBe(isValid);
  });
});

describe('at the limits of permitted ranges', () => {
  const one = granted(['b', '']);
  const zero = granted(['\0', '']);
  const prefix = granted(['b', 'c']);
  const open = granted(['b', '\0']);
  const all = granted(['\0', '\0']);
  const last = granted(['\xff', '\0']);
  const lastKey = granted(['\xff', '']);
  const joined = granted(['b', 'c'], ['c', 'd'], ['d', '']);
  const gap = granted(['b', 'c'], ['c\0', 'd']);

  it.each<[string, Permissions, string, string, boolean]>([
    ['one key', one, 'b', '', true],
    ['one key', one, 'b\0', '', false],
    ['one key', one, 'a\xff', '', false],
    ['one key', one, '', '', false],
    ['one key', one, 'b', 'b\0', true],
    ['one key', one, 'b', 'c', false],
    ['one key', one, 'b', '\0', false],
    ['one key', one, '\0', '\0', false],
    ['one key', one, 'b', 'b', true],
    ['the smallest key', zero, '\0', '', true],
    ['the smallest key', zero, '\0\0', '', false],
    ['the smallest key', zero, '\0', '\0', false],
    ['the smallest key', zero, '', '\0', false],
    ['the smallest key', zero, '', '', false],
    ['a prefix', prefix, 'b', 'c', true],
    ['a prefix', prefix, 'b\xff\xff', '', true],
    ['a prefix', prefix, 'c', '', false],
    ['a prefix', prefix, 'b', 'c\0', false],
    ['a prefix', prefix, 'a\xff', 'c', false],
    ['a prefix', prefix, 'b', '\0', false],
    ['an open end', open, 'b', '\0', true],
    ['an open end', open, 'b', 'c', true],
    ['an open end', open, '\xff\xff', '\0', true],
    ['an open end', open, 'a', '\0', false],
    ['an open end', open, 'a\xff', '', false],
    ['an open end', open, '\0', '\0', false],
    ['everything', all, '\0', '\0', true],
    ['everything', all, '\0', '', true],
    ['everything', all, 'a', 'b', true],
    // An empty key is never permitted; the interval begins at the smallest key.
    ['everything', all, '', '', false],
    ['everything', all, '', '\0', false],
    ['the last prefix', last, '\xff', '\0', true],
    ['the last prefix', last, '\xff\xff\xff', '', true],
    ['the last prefix', last, '\xfe\xff', '', false],
    ['the last prefix', last, '\xfe', '\0', false],
    ['the last byte', lastKey, '\xff', '', true],
    ['the last byte', lastKey, '\xff', '\0', false],
    ['the last byte', lastKey, '\xff\0', '', false],
    ['touching ranges', joined, 'b', 'd\0', true],
    ['touching ranges', joined, 'b', 'd\x01', false],
    ['touching ranges', joined, 'b\xff', 'c\x01', true],
    ['ranges with a key between them', gap, 'b', 'd', false],
    ['ranges with a key between them', gap, 'c', '', false],
    ['ranges with a key between them', gap, 'c\0', '', true],
    ['nothing', granted(), '\0', '', false],
    ['nothing', granted(), '\0', '\0', false],
  ])('%s (%#)', (_what, permissions, key, rangeEnd, isAllowed) => {
    expect(permissions.mayRead(bytes(key), bytes(rangeEnd))).toBe(isAllowed);
    expect(permissions.mayWrite(bytes(key), bytes(rangeEnd))).toBe(false);
  });
});

manyPermissionsCases(1000);
