import { rangeScanCases } from './range-scan.cases.ts';

rangeScanCases({ deleted: 2_000, revisions: 1_000, sorted: 1_000 });
