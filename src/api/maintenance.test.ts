import { maintenanceCases } from './maintenance.cases.ts';

maintenanceCases(5);
