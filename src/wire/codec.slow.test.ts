import { it } from 'vitest';
import { compareWithProtobufjs, decodeDamaged, names } from './testing/compare-codecs.ts';

it.each(names)('against protobufjs: %s', (name) => compareWithProtobufjs(name, 60));

it('random bytes, truncations and flipped bits are either read or refused', () => decodeDamaged(6000));
