import { describe, expect, it } from 'vitest';
import { Metadata, illegalBase64At } from './metadata.ts';
import { HeaderField } from '../http2/header-field.ts';
import { ReceiveBudget, type ReceiveClaim } from './receive-budget.ts';
import { encodeStatusMessage } from './status.ts';
import { parseTimeout } from './timeout.ts';

describe('grpc-timeout', () => {
  it.each([
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['3S', 3_000],
    ['4m', 4],
    ['5000u', 5],
    ['6000000n', 6],
    ['99999999H', 99_999_999 * 3_600_000],
    ['0m', 0],
  ])('%s', (value, milliseconds) => {
    expect(parseTimeout(value)).toBeCloseTo(milliseconds, 9);
  });

  it.each(['', 'm', '1', '1x', '-1m', '+1m', '1.5S', '123456789m', ' 1m', 'Hm'])(
    '%j is malformed',
    (value) => {
      expect(typeof parseTimeout(value)).toBe('string');
    },
  );
});

it('status messages are percent-encoded outside printable ASCII', () => {
  expect(encodeStatusMessage('etcdserver: no leader')).toBe('etcdserver: no leader');
  expect(encodeStatusMessage('100%\n~')).toBe('100%25%0A~');
  expect(encodeStatusMessage('é鍵\u007f')).toBe('%C3%A9%E9%8D%B5%7F');
});

describe('metadata', () => {
  it('values by name, several of one name, binary ones decoded', () => {
    const fields = [
      new HeaderField(':path', '/a'),
      new HeaderField('a', '1'),
      new HeaderField('a', '2'),
      new HeaderField('b-bin', 'AP8B'),
      new HeaderField('content-type', 'application/grpc'),
    ];
    const metadata = new Metadata(fields);
    expect(metadata.get('a')).toBe('1');
    expect(metadata.getAll('a')).toEqual(['1', '2']);
    expect(metadata.getBinary('b-bin')).toEqual(Buffer.from([0, 255, 1]));
    expect(metadata.getBinary('c-bin')).toBeUndefined();
    expect([...metadata.entries()].map(([name]) => name)).toEqual(['a', 'a', 'b-bin']);
  });

  it('base64 is valid with and without padding; otherwise the offset of the first invalid byte is returned', () => {
    for (const value of ['', 'AA==', 'AA', 'AAA=', 'AAAA']) expect(illegalBase64At(value)).toBe(-1);
    expect(illegalBase64At('!')).toBe(0);
    expect(illegalBase64At('QQ==,QUI=')).toBe(2);
    expect(illegalBase64At('AAAAA')).toBe(4);
    expect(illegalBase64At('AA-_')).toBe(2);
  });
});

describe('the budget for large messages', () => {
  function claim(budget: ReceiveBudget, bytes: number): ReceiveClaim & { grants: number } {
    const made = {
      bytes,
      granted: false,
      grants: 0,
      onGrant: () => {
        made.grants++;
      },
    };
    budget.claim(made);
    return made;
  }

  it('first come, first served; released memory goes to waiting messages', () => {
    const budget = new ReceiveBudget(100);
    const first = claim(budget, 60);
    const second = claim(budget, 60);
    const third = claim(budget, 10);
    // The third would fit, but the second must not starve.
    expect([first.granted, second.granted, third.granted]).toEqual([true, false, false]);
    budget.release(first);
    expect([second.granted, third.granted]).toEqual([true, true]);
    expect(second.grants).toBe(1);
  });

  it('canceling a waiting claim frees nothing and blocks no other one', () => {
    const budget = new ReceiveBudget(100);
    claim(budget, 50);
    const second = claim(budget, 80);
    const third = claim(budget, 50);
    budget.release(second);
    expect(third.granted).toBe(true);
    budget.release(second);
    expect(claim(budget, 1).granted).toBe(false);
  });
});
