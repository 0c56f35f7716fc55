import { it } from 'vitest';
import { readBeyondTheBound } from './testing/cached-values.ts';

it.each([100, 10_000, 60_000])('memory stays within the bound with values of %d bytes', readBeyondTheBound);
