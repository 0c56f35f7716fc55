import { it } from 'vitest';
import { compareAfterJson, compareTranscoder } from './testing/compare-json.ts';

it('every message can be decoded from its JSON', () => compareAfterJson(20));

it('the result of the transcoder for every message equals that of the encoder, for any chunk sizes', () =>
  compareTranscoder(20));
