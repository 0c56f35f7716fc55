import { rangeScanCases } from './range-scan.cases.ts';

rangeScanCases({ deleted: 20_000, revisions: 5_000, sorted: 10_000 });
