import { expect, it } from 'vitest';
import { quote } from './quote.ts';

it('shows printable text as it is and escapes the rest', () => {
  expect(quote(Buffer.from('foo "bar" \\ é 世 😀'))).toBe('"foo \\"bar\\" \\\\ é 世 😀"');
  expect(quote(Buffer.from('a\n\t\x00\x7f\u200b'))).toBe('"a\\n\\t\\x00\\x7f\\u200b"');
});

it('shows bytes that are not UTF-8 one by one', () => {
  expect(quote(Buffer.from([0x61, 0xff, 0xc3, 0x28, 0xe4, 0xb8]))).toBe('"a\\xff\\xc3(\\xe4\\xb8"');
  expect(quote(Buffer.from('\ufffd'))).toBe('"\ufffd"');
});
