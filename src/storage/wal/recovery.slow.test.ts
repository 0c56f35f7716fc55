import { damageCases } from './damage.cases.ts';

damageCases({ cutStride: 1, flipStride: 3 });
