import { expect } from 'vitest';
import { SeededRandom } from '../../lib/seeded-random.ts';
import { AppendDecoder, AppendEncoder } from '../append-codec.ts';
import { MessageDecoder } from '../message-codec.ts';
import { decodeInPieces, LOCAL, randomAppends, REMOTE } from './appends.ts';

/** Damages valid streams at random. Decoders must return, or throw an error of the format. */
export function decodeGarbage(seed: number, rounds: number): void {
  const random = new SeededRandom(seed);
  const encoder = new AppendEncoder();
  const valid = Buffer.concat(
    randomAppends(random, 20).flatMap((each) => encoder.encode([each], 'bare').parts),
  );
  for (let round = 0; round < rounds; round += 1) {
    const bytes = Buffer.from(valid);
    for (let i = 0; i < 4; i += 1) bytes[random.int(bytes.length)] = random.int(256);
    for (const decoder of [new AppendDecoder({ local: LOCAL, remote: REMOTE }), new MessageDecoder()]) {
      try {
        decodeInPieces(decoder, bytes, 1 + random.int(5000));
      } catch (error) {
        expect(['StreamFormatError', 'WireError']).toContain((error as Error).name);
      }
    }
  }
}
