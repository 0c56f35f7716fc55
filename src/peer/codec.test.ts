import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../lib/seeded-random.ts';
import { Message, MessageType } from '../wire/gen/raftpb.ts';
import { AppendDecoder, AppendEncoder } from './append-codec.ts';
import { MessageDecoder, MessageEncoder } from './message-codec.ts';
import { StreamFormatError } from './stream-error.ts';
import { append, decodeInPieces, entry, LOCAL, randomAppends, REMOTE } from './testing/appends.ts';
import { decodeGarbage } from './testing/garbage.ts';

describe('the message stream', () => {
  it('has messages as their codec writes them, without copying large data', () => {
    const large = Buffer.alloc(10_000, 7);
    const messages = [
      Message.create({ type: MessageType.MsgHeartbeat, to: 1n, from: 2n, term: 3, commit: 300 }),
      append({
        term: 300,
        logTerm: 299,
        index: 70_000,
        commit: 9,
        entries: [entry(1, 1, Buffer.from('a')), entry(2, 1, large), entry(3, 1, undefined)],
        context: Buffer.from('ctx'),
      }),
    ];
    const { parts, bytes } = new MessageEncoder().encode(messages, 'bare');
    expect(parts).toContain(large);
    const whole = Buffer.concat(parts);
    expect(whole.length).toBe(bytes);
    const expected = messages.flatMap((message) => {
      const body = Message.encode(message);
      const length = Buffer.alloc(8);
      length.writeBigUInt64BE(BigInt(body.length));
      return [length, body];
    });
    expect(whole.equals(Buffer.concat(expected))).toBe(true);
  });

  it.each([1, 3, 8, 1000, 1_000_000])('is read in pieces of %i bytes', (size) => {
    const random = new SeededRandom(size);
    const messages = randomAppends(random, 30);
    const encoder = new MessageEncoder();
    const bytes = Buffer.concat([
      ...encoder.encode(messages.slice(0, 7), 'bare').parts,
      encoder.heartbeat(),
      ...encoder.encode(messages.slice(7), 'bare').parts,
    ]);
    expect(decodeInPieces(new MessageDecoder(), bytes, size)).toEqual(messages);
  });

  it('refuses a message longer than the limit before it arrives', () => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(512n * 1024n * 1024n + 1n);
    expect(() => new MessageDecoder().decode(length, [])).toThrow(StreamFormatError);
    expect(() => new MessageDecoder().decode(Buffer.alloc(8, 0xff), [])).toThrow(StreamFormatError);
  });

  it('refuses bytes that are not a message', () => {
    const garbage = Buffer.from([0, 0, 0, 0, 0, 0, 0, 3, 0xff, 0xff, 0xff]);
    expect(() => new MessageDecoder().decode(garbage, [])).toThrow();
  });
});

describe('a chunk', () => {
  it('as a chunk it has its length before and a line end after it', () => {
    const large = Buffer.alloc(5000, 1);
    const message = append({ term: 1, entries: [entry(1, 1, Buffer.from('a')), entry(2, 1, large)] });
    const bare = Buffer.concat(new MessageEncoder().encode([message], 'bare').parts);
    const { parts, bytes } = new MessageEncoder().encode([message], 'chunk');
    expect(bytes).toBe(bare.length);
    const expected = [Buffer.from(`${bytes.toString(16)}\r\n`), bare, Buffer.from('\r\n')];
    expect(Buffer.concat(parts).equals(Buffer.concat(expected))).toBe(true);
  });
});

describe('the append stream', () => {
  const ends = { local: LOCAL, remote: REMOTE };

  it.each([1, 2, 9, 64, 5000, 1_000_000])('is read in pieces of %i bytes', (size) => {
    const random = new SeededRandom(size);
    const messages = randomAppends(random, 60);
    const encoder = new AppendEncoder();
    const parts = messages.flatMap((message, i) => [
      ...(i % 5 === 0 ? [encoder.heartbeat()] : []),
      ...encoder.encode([message], 'bare').parts,
    ]);
    expect(decodeInPieces(new AppendDecoder(ends), Buffer.concat(parts), size)).toEqual(messages);
  });

  it('is the same for a batch as for single messages', () => {
    const messages = randomAppends(new SeededRandom(1), 50);
    const single = new AppendEncoder();
    const one = Buffer.concat(messages.flatMap((message) => single.encode([message], 'bare').parts));
    const { parts, bytes } = new AppendEncoder().encode(messages, 'bare');
    expect(Buffer.concat(parts).equals(one)).toBe(true);
    expect(bytes).toBe(one.length);
  });

  it('omits what the stream implies, as etcd does', () => {
    const encoder = new AppendEncoder();
    encoder.encode([append({ term: 2, logTerm: 1, index: 4, entries: [entry(5, 2, undefined)] })], 'bare');
    const next = append({
      term: 2,
      logTerm: 2,
      index: 5,
      entries: [entry(6, 2, Buffer.from('x'))],
      commit: 5,
    });
    const frame = Buffer.concat(encoder.encode([next], 'bare').parts).toString('hex');
    const entryBytes = '1002' + '1806' + '220178';
    expect(frame).toBe(`0100000000000000010000000000000007${entryBytes}0000000000000005`);
  });

  it('refuses frames of unknown type, and lengths beyond the limit', () => {
    expect(() => new AppendDecoder(ends).decode(Buffer.from([9]), [])).toThrow(/unknown type 9/);
    const long = Buffer.alloc(9, 0);
    long[0] = 2;
    long.writeUInt32BE(1, 1);
    expect(() => new AppendDecoder(ends).decode(long, [])).toThrow(StreamFormatError);
  });

  it('limits the total size of the entries of one append', () => {
    const decoder = new AppendDecoder(ends, 1000);
    const frame = (size: number): Buffer => {
      const bytes = Buffer.alloc(8 + size);
      bytes.writeUInt32BE(size, 4);
      bytes.fill(Buffer.from([0x08, 0]), 8);
      return bytes;
    };
    const head = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 9]);
    decoder.decode(Buffer.concat([head, frame(400), frame(400)]), []);
    expect(() => decoder.decode(frame(400), [])).toThrow(/too long/);
  });

  it('allocates no memory for entries that are only announced', () => {
    const decoder = new AppendDecoder(ends);
    const head = Buffer.from([1, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    const messages: Message[] = [];
    decoder.decode(head, messages);
    expect(messages).toEqual([]);
  });
});

it('decoders end on garbage with an error or wait for more', () => decodeGarbage(1, 10));
