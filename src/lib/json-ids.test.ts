import { expect, it } from 'vitest';
import { quoteLongNumbers } from './json-ids.ts';

it.each([
  ['{"id":9372538179322589801}', '{"id":"9372538179322589801"}'],
  ['{"id":42}', '{"id":42}'],
  ['{"name":"9372538179322589801"}', '{"name":"9372538179322589801"}'],
  ['{"name":"a \\" 9372538179322589801"}', '{"name":"a \\" 9372538179322589801"}'],
])('%s becomes %s', (text, quoted) => {
  expect(quoteLongNumbers(text)).toBe(quoted);
});

it('a text with unterminated strings is read only once', () => {
  const text = '"\\'.repeat(200_000);
  const began = performance.now();
  expect(quoteLongNumbers(text)).toBe(text);
  expect(performance.now() - began).toBeLessThan(2000);
});
