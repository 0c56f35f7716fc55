import { engineCases } from './engine.cases.ts';
import { MemoryEngine } from './memory-engine.ts';

engineCases('memory', () => Promise.resolve(new MemoryEngine()));
