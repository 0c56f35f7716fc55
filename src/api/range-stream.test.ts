import { rangeStreamCases } from './range-stream.cases.ts';

rangeStreamCases({ keys: 1_600, maxOps: 400, waitMs: 100, largeValues: 12 });
