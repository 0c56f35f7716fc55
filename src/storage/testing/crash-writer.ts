/**
 * Writes to a data directory as fast as possible until it is killed. It records in a file next to it what was
 * acknowledged ("A", the last synced entry of the log), and what must be in the engine after a crash of the machine
 * ("S"). Applying an entry puts one row of its index into two columns, and the applied index.
 */
import { openSync, readFileSync, writeSync } from 'node:fs';
import type { Engine } from '../../ports/engine.ts';
import { ConfState, Entry, HardState } from '../../wire/gen/raftpb.ts';
import { openStorage } from '../open-storage.ts';

const appliedKey = Buffer.from('applied');
const ENTRIES_KEPT = 3000;

function rowKey(index: number): Buffer {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(BigInt(index));
  return key;
}

/** A value that does not compress well, and is the same each time the entry is applied. */
const rowValue = (index: number): Buffer =>
  Buffer.from(`${index} `.padEnd((index * 31) % 700, `${index * 7919}`));

export const appliedIndex = (engine: Engine): number =>
  Number(engine.get('meta', appliedKey)?.toString() ?? 0);

/** Number of rows in the column if they are 1 to n without a gap; -1 if not. */
export function contiguousRows(engine: Engine, column: 'event' | 'latest'): number {
  const rows = engine.iterate(column, { gte: Buffer.alloc(0), keysOnly: true });
  let count = 0;
  let isContiguous = true;
  for (let slice = rows.next(1000); slice.length > 0; slice = rows.next(1000)) {
    for (let n = 0; n < slice.length; n += 2) {
      isContiguous &&= slice[n]?.equals(rowKey(++count)) === true;
    }
  }
  rows.close();
  return isContiguous ? count : -1;
}

/** The newest index recorded under a letter; 0 if there is none yet. */
export function lastNoted(notes: string, letter: 'A' | 'S'): number {
  const text = readFileSync(notes, 'utf8');
  const line = text.slice(0, text.lastIndexOf('\n') + 1).lastIndexOf(letter);
  return line < 0 ? 0 : Number.parseInt(text.slice(line + 1), 10);
}

async function run(dataDirectory: string, notesPath: string): Promise<void> {
  const notes = openSync(notesPath, 'w');
  const { engine, log } = await openStorage({
    dataDirectory,
    newMetadata: () => Buffer.from('metadata'),
    onFailure: (error) => {
      throw error;
    },
  });
  let applied = appliedIndex(engine);
  let index = log.lastIndex;
  let rounds = 0;

  const apply = (upTo: number): void => {
    const batch = engine.batch();
    for (; applied < upTo; applied++) {
      const row = rowKey(applied + 1);
      batch.put('event', row, rowValue(applied + 1));
      batch.put('latest', row, row);
    }
    batch.put('meta', appliedKey, Buffer.from(String(applied)));
    engine.write(batch);
  };

  const checkpoint = async (): Promise<void> => {
    const durable = applied;
    await engine.syncLog();
    writeSync(notes, `S${durable}\n`);
    const released = durable - ENTRIES_KEPT;
    if (released > 0) await log.release({ index: released, term: 1, confState: ConfState.create() });
  };

  const next = (): void => {
    const entries: Entry[] = [];
    for (let n = 0; n < 1 + ((rounds * 7) % 50); n++) {
      index++;
      entries.push(Entry.create({ term: 1, index, data: rowValue(index) }));
    }
    const last = index;
    log.append({ entries, hardState: HardState.create({ term: 1, vote: 1n, commit: applied }) }, () => {
      writeSync(notes, `A${last}\n`);
      apply(last);
      if (++rounds % 40 === 0) void checkpoint();
      setImmediate(next);
    });
  };
  apply(index);
  next();
}

const [, , dataDirectory, notes] = process.argv;
if (process.env.KEYSTEAD_CRASH_WRITER === '1' && dataDirectory !== undefined && notes !== undefined) {
  await run(dataDirectory, notes);
}
