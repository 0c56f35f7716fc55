import { promotionCases } from './promotion.cases.ts';

promotionCases(200_000n);
