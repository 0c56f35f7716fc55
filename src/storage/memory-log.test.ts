import { logStoreCases, type OpenedLogStore } from './log-store.cases.ts';
import { MemoryLog } from './memory-log.ts';

const opened = (log: MemoryLog): OpenedLogStore<MemoryLog> => ({ log, contents: log.contents() });

logStoreCases(
  'memory',
  () => Promise.resolve(opened(new MemoryLog(Buffer.from('metadata')))),
  (log) => Promise.resolve(opened(log)),
);
