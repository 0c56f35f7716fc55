import { rangeStreamCases } from './range-stream.cases.ts';

rangeStreamCases({ keys: 8_000, maxOps: 2_000, waitMs: 2_000, largeValues: 40 });
