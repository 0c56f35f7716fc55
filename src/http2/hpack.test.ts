import { describe, expect, it } from 'vitest';
import { ConnectionError } from './constants.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import {
  encodeIndexed,
  encodeStatic,
  encodeTableSize,
  type HeaderPair,
  HpackEncoder,
} from './hpack-encoder.ts';
import { huffmanCodes, huffmanDecode } from './huffman.ts';

function decoder(maxListBytes = 1 << 16, tableBytes = 4096): HpackDecoder {
  return new HpackDecoder({ maxListBytes, tableBytes });
}

function decode(into: HpackDecoder, block: Buffer | string): HeaderPair[] {
  const bytes = typeof block === 'string' ? Buffer.from(block.replaceAll(' ', ''), 'hex') : block;
  into.decode(bytes, 0, bytes.length);
  return into.fields.map((f) => [f.name, f.value]);
}

function huffmanEncode(text: Buffer): Buffer {
  const codes = huffmanCodes();
  let bits = '';
  for (const byte of text) bits += codes[byte]!.bits.toString(2).padStart(codes[byte]!.length, '0');
  while (bits.length % 8 !== 0) bits += '1';
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
}

describe('Huffman', () => {
  it('every byte is decoded as it was encoded', () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const coded = huffmanEncode(all);
    expect(huffmanDecode(coded, 0, coded.length)).toBe(all.toString('latin1'));
  });

  it('known codes of RFC 7541 appendix B', () => {
    const codes = huffmanCodes();
    expect(codes[48]).toEqual({ bits: 0x0, length: 5 });
    expect(codes[97]).toEqual({ bits: 0x3, length: 5 });
    expect(codes[0]).toEqual({ bits: 0x1ff8, length: 13 });
    expect(codes[249]).toEqual({ bits: 0xffffffe, length: 28 });
    expect(codes[256]).toEqual({ bits: 0x3fffffff, length: 30 });
  });

  it('wrong padding and the end-of-string symbol are refused', () => {
    // 'a' is 00011: padded with zeros; with a whole byte of ones; and the 30 ones of EOS.
    expect(huffmanDecode(Buffer.from([0b00011000]), 0, 1)).toBeUndefined();
    expect(huffmanDecode(Buffer.from([0b00011111, 0xff]), 0, 2)).toBeUndefined();
    expect(huffmanDecode(Buffer.from([0xff, 0xff, 0xff, 0xff]), 0, 4)).toBeUndefined();
    expect(huffmanDecode(Buffer.from([0b00011111]), 0, 1)).toBe('a');
  });

  it('two bytes of any value, alone and after long codes, are decoded as bit by bit', () => {
    const long = huffmanEncode(Buffer.from([0, 249, 10, 22, 1]));
    for (let value = 0; value < 1 << 16; value += 61) {
      const pair = Buffer.from([value >> 8, value & 0xff]);
      for (const coded of [pair, Buffer.concat([long.subarray(0, 1 + (value % long.length)), pair])])
        expect(huffmanDecode(coded, 0, coded.length)).toBe(huffmanDecodeSlowly(coded));
    }
  });
});

const symbolsByCode = new Map(
  huffmanCodes().map(({ bits, length }, symbol) => [`${length}/${bits}`, symbol]),
);

/** Decodes bit by bit. */
function huffmanDecodeSlowly(coded: Buffer): string | undefined {
  let text = '';
  let bits = 0;
  let length = 0;
  for (let at = 0; at < coded.length * 8; at++) {
    bits = bits * 2 + ((coded[at >> 3]! >> (7 - (at & 7))) & 1);
    length++;
    const symbol = symbolsByCode.get(`${length}/${bits}`);
    if (symbol === undefined) continue;
    if (symbol === 256) return undefined;
    text += String.fromCharCode(symbol);
    bits = length = 0;
  }
  return length <= 7 && bits === 2 ** length - 1 ? text : undefined;
}

describe('HPACK decoder', () => {
  it('RFC 7541 appendix C.4: requests with Huffman coding share one table', () => {
    const d = decoder();
    expect(decode(d, '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff')).toEqual([
      [':method', 'GET'],
      [':scheme', 'http'],
      [':path', '/'],
      [':authority', 'www.example.com'],
    ]);
    expect(decode(d, '8286 84be 5886 a8eb 1064 9cbf').slice(3)).toEqual([
      [':authority', 'www.example.com'],
      ['cache-control', 'no-cache'],
    ]);
    expect(decode(d, '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf').slice(3)).toEqual([
      [':authority', 'www.example.com'],
      ['custom-key', 'custom-value'],
    ]);
  });

  it('RFC 7541 appendix C.6: a table of 256 bytes evicts', () => {
    const d = decoder(1 << 16, 256);
    expect(
      decode(
        d,
        '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      ),
    ).toEqual([
      [':status', '302'],
      ['cache-control', 'private'],
      ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
      ['location', 'https://www.example.com'],
    ]);
    expect(decode(d, '4883 640e ffc1 c0bf')).toEqual([
      [':status', '307'],
      ['cache-control', 'private'],
      ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
      ['location', 'https://www.example.com'],
    ]);
  });

  it.each([
    ['index 0', '80'],
    ['an index beyond the table', 'be'],
    ['an integer without end', 'ff ff ff ff ff ff ff'],
    ['a truncated string', '40 05 61'],
    ['a truncated integer', 'ff'],
    ['a table size beyond the limit', '3f e2 1f'],
    ['a table size update after a field', '82 20'],
    ['a literal name index beyond the table', '7f 00 00'],
  ])('%s is a compression error', (_, block) => {
    expect(() => decode(decoder(), block)).toThrow(ConnectionError);
  });

  it('an oversized list is dropped, and the table stays correct', () => {
    const d = decoder(100);
    const big: HeaderPair = ['x-large', 'v'.repeat(200)];
    expect(decode(d, encodeIndexed(big))).toEqual([]);
    expect(d.oversized).toBe(true);
    expect(decode(d, encodeStatic([[':method', 'GET']]))).toEqual([[':method', 'GET']]);
    expect(d.oversized).toBe(false);
    decode(d, 'be');
    expect(d.oversized).toBe(true);
  });

  it('an entry larger than the table empties it', () => {
    const d = decoder(1 << 16, 128);
    decode(d, encodeIndexed(['a', 'b']));
    decode(d, encodeIndexed(['c', 'd'.repeat(200)]));
    expect(() => decode(d, 'be')).toThrow('no entry');
  });

  it('a table size of 0 evicts everything', () => {
    const d = decoder();
    decode(d, encodeIndexed(['a', 'b']));
    expect(() => decode(d, Buffer.concat([encodeTableSize(0), Buffer.from([0xbe])]))).toThrow('no entry');
  });
});

describe('HPACK encoder', () => {
  const templates: HeaderPair[][] = [
    [
      [':status', '200'],
      ['content-type', 'application/grpc'],
    ],
    [['grpc-status', '0']],
  ];

  it('a template takes one byte for each field after its first use, in any order', () => {
    const encoder = new HpackEncoder(templates);
    const d = decoder();
    for (const index of [1, 0, 1, 1, 0, 0, 1])
      expect(decode(d, encoder.template(index))).toEqual(templates[index]);
    expect(encoder.template(0)).toHaveLength(2);
    expect(encoder.template(1)).toHaveLength(1);
  });

  it('a smaller table of the peer is announced once and not exceeded', () => {
    const encoder = new HpackEncoder(templates);
    const d = decoder();
    for (const index of [0, 1, 0]) decode(d, encoder.template(index));
    encoder.setPeerTableSize(60);
    expect(decode(d, encoder.prefixed(encodeStatic([[':status', '404']])))).toEqual([[':status', '404']]);
    for (const index of [0, 1, 0, 1]) expect(decode(d, encoder.template(index))).toEqual(templates[index]);
    encoder.setPeerTableSize(0);
    for (const index of [1, 0, 0, 1]) expect(decode(d, encoder.template(index))).toEqual(templates[index]);
    encoder.setPeerTableSize(100_000);
    for (const index of [1, 0, 0, 1]) expect(decode(d, encoder.template(index))).toEqual(templates[index]);
    expect(encoder.template(1)).toHaveLength(1);
  });

  it('long strings and large indexes', () => {
    const headers: HeaderPair[] = [
      ['x'.repeat(300), 'y'.repeat(20_000)],
      ['www-authenticate', ''],
    ];
    expect(decode(decoder(), encodeStatic(headers))).toEqual(headers);
  });
});
