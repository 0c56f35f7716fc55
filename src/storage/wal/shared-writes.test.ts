import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { appended, entry, state } from '../log-store.cases.ts';
import { createLog } from './open-log.ts';

const directory = mkdtempSync(join(tmpdir(), 'keystead-shared-writes-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

it('appends of the turn after a write share the next write with those that came during it', async () => {
  let writes = 0;
  const { log } = createLog(
    {
      directory: join(directory, 'wal'),
      segmentBytes: 1 << 20,
      onFailure: (error) => {
        throw error;
      },
      onSync: () => (writes += 1),
    },
    Buffer.from('metadata'),
  );
  await appended(log, [entry(1)], state(1, 0));
  writes = 0;
  // As raft does, which takes new proposals in the turn that the end of a write wakes.
  const inTurn = new Promise<void>((resolve) => {
    const turn = (): void => void appended(log, [entry(4)]).then(resolve);
    log.append({ entries: [entry(2)], hardState: undefined }, () => setImmediate(turn));
  });
  log.flush();
  const during = appended(log, [entry(3)]);
  await Promise.all([during, inTurn]);
  expect(writes).toBe(2);
  await log.close();
});
