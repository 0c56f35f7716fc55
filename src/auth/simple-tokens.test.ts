import { beforeEach, describe, expect, it } from 'vitest';
import { SimpleTokens, simpleTokenIndex } from './simple-tokens.ts';

let nowMs: number;
let tokens: SimpleTokens;

beforeEach(() => {
  nowMs = 0;
  tokens = new SimpleTokens({ now: () => nowMs, wall: () => nowMs }, 1000);
  tokens.enable();
});

describe('simple tokens', () => {
  it('expire after the TTL, and each use extends their life', () => {
    const token = tokens.assign('u', 'prefix', 7);
    expect(token).toBe('prefix.7');
    nowMs = 900;
    expect(tokens.user(token)).toBe('u');
    nowMs = 1900;
    expect(tokens.user(token)).toBe('u');
    nowMs = 2901;
    expect(tokens.user(token)).toBeUndefined();
    tokens.expire();
    expect(tokens.user(token)).toBeUndefined();
  });

  it('become invalid when the user’s password changes and when authentication is disabled', () => {
    const [a, b] = [tokens.assign('a', 'x', 1), tokens.assign('b', 'y', 2)];
    tokens.invalidateUser('a');
    expect([tokens.user(a), tokens.user(b)]).toEqual([undefined, 'b']);
    tokens.disable();
    tokens.enable();
    expect(tokens.user(b)).toBeUndefined();
  });

  it('are never valid while authentication is off', () => {
    tokens.disable();
    expect(tokens.user(tokens.assign('u', 'x', 1))).toBeUndefined();
  });

  it.each([
    ['abc.12', 13],
    ['abc', undefined],
    ['abc.', undefined],
    ['abc.1.2', undefined],
    ['abc.-1', undefined],
    ['abc.1e3', undefined],
    ['abc.99999999999999999999', undefined],
  ])('%s was created by entry %s', (token, index) => {
    expect(simpleTokenIndex(token)).toBe(index);
  });
});
