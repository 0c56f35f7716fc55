/**
 * Writes to a data directory as fast as it can until it is killed, saying on its output what was acknowledged.
 * Each entry holds its index, and applying it puts one row of that index and the applied index.
 */
import { writeSync } from 'node:fs';
import { Entry, HardState } from '../../wire/gen/raftpb.ts';
import { openStorage } from '../open-storage.ts';

export const appliedKey = Buffer.from('applied');

export function rowKey(index: number): Buffer {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(BigInt(index));
  return key;
}

async function run(dataDirectory: string): Promise<void> {
  const { engine, log } = await openStorage({
    dataDirectory,
    newMetadata: () => Buffer.from('metadata'),
    onFailure: (error) => {
      throw error;
    },
  });
  let applied = Number(engine.get('meta', appliedKey)?.toString() ?? 0);

  const apply = (upTo: number): void => {
    const batch = engine.batch();
    for (; applied < upTo; applied++)
      batch.put('event', rowKey(applied + 1), Buffer.from(String(applied + 1)));
    batch.put('meta', appliedKey, Buffer.from(String(applied)));
    engine.write(batch);
  };

  apply(log.lastIndex);
  let index = log.lastIndex;
  let rounds = 0;
  const next = (): void => {
    const entries: Entry[] = [];
    for (let n = 0; n < 1 + ((rounds * 7) % 50); n++) {
      index++;
      entries.push(
        Entry.create({ term: 1, index, data: Buffer.from(`${index} `.padEnd((index * 31) % 700, 'x')) }),
      );
    }
    const last = index;
    log.append({ entries, hardState: HardState.create({ term: 1, vote: 1n, commit: applied }) }, () => {
      writeSync(1, `${last}\n`);
      apply(last);
      if (++rounds % 40 === 0) void engine.syncLog();
      next();
    });
  };
  next();
}

const [, , dataDirectory] = process.argv;
if (dataDirectory !== undefined && process.env.KEYSTEAD_CRASH_WRITER === '1') await run(dataDirectory);
