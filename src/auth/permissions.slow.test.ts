import { manyPermissionsCases } from './permissions.cases.ts';

manyPermissionsCases(10_000);
