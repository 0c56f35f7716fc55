import { expect, it } from 'vitest';
import { isLargeJson } from './large-json.ts';

it('a text is large by its elements and escapes, not by its length', () => {
  expect(isLargeJson(Buffer.from(`[${'{},'.repeat(5_000)}{}]`))).toBe(true);
  expect(isLargeJson(Buffer.from(`{"name":"${'\\u0041'.repeat(5_000)}"}`))).toBe(true);
  expect(isLargeJson(Buffer.from(`{"value":"${'QUJD'.repeat(400_000)}"}`))).toBe(false);
  expect(isLargeJson(Buffer.from('{"success":[{},{},{}]}'))).toBe(false);
});
