import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { stageAppliedState } from '../apply/applied-state.ts';
import { CompactionJob } from '../mvcc/compaction.ts';
import { keyRange } from '../mvcc/key-range.ts';
import { encodeRevision } from '../mvcc/revision.ts';
import { MvccStore } from '../mvcc/store.ts';
import type { EngineControl, WriteBatch } from '../ports/engine.ts';
import { openStorage } from '../storage/open-storage.ts';
import { ConfState, Entry, HardState } from '../wire/gen/raftpb.ts';
import { runVerify, verifyDataDirectory } from './verify.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-verify-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const open = (dataDirectory: string) =>
  openStorage({
    dataDirectory,
    newMetadata: () => Buffer.from('metadata'),
    onFailure: (error) => {
      throw error;
    },
  });

function write(engine: EngineControl, fill: (batch: WriteBatch) => void): void {
  const batch = engine.batch();
  fill(batch);
  engine.write(batch);
}

/** Writes forty transactions on ten keys, compacted at the twentieth, and the same number of log entries. */
async function fill(dataDirectory: string): Promise<void> {
  const { engine, log, close } = await open(dataDirectory);
  const store = new MvccStore(engine);
  const entries: Entry[] = [];
  for (let index = 1; index <= 40; index++) {
    const txn = store.begin();
    const key = Buffer.from(`key-${index % 10}`);
    if (index % 7 === 0) txn.deleteRange(keyRange(key, Buffer.alloc(0)));
    else txn.put(key, Buffer.from(`value ${index}`), 0n);
    txn.end();
    entries.push(Entry.create({ index, term: 2, data: Buffer.from('request') }));
    write(engine, (batch) => {
      store.stage(batch);
      stageAppliedState(batch, { index, term: 2, confState: ConfState.create() });
    });
    store.committed();
  }
  write(engine, (batch) => store.compact(20, batch));
  const job = new CompactionJob(store, 20);
  for (let done = false; !done;) write(engine, (batch) => (done = job.step(batch, 5)));
  await new Promise<void>((resolve) =>
    log.append({ entries, hardState: HardState.create({ term: 2, vote: 1n, commit: 40 }) }, resolve),
  );
  await close();
}

describe('verify', () => {
  let directory: string;
  beforeEach(async () => {
    directory = mkdtempSync(join(root, 'data-'));
    await fill(directory);
  });

  const tamper = async (change: (batch: WriteBatch) => void): Promise<string[]> => {
    const { engine, close } = await open(directory);
    write(engine, change);
    await close();
    const { ok, findings } = await verifyDataDirectory(directory);
    expect(ok).toBe(findings.length === 0);
    return findings.map(({ where, what }) => `${where}: ${what}`);
  };

  it('finds no errors in an intact directory, and changes nothing', async () => {
    const first = await verifyDataDirectory(directory);
    expect(first.findings).toEqual([]);
    expect(first.log).toMatchObject({ entries: 40, firstIndex: 1, lastIndex: 40, lastTerm: 2, commit: 40 });
    expect(first.store).toMatchObject({
      revision: 40,
      compactRevision: 20,
      appliedIndex: 40,
      appliedTerm: 2,
    });
    expect(await verifyDataDirectory(directory)).toEqual(first);
    expect(await tamper(() => undefined)).toEqual([]);
  });

  it('finds a missing change and the key that needs it', async () => {
    const findings = await tamper((batch) => batch.del('event', encodeRevision(39, 0)));
    expect(findings).toContain('latest "key-9": its change 39.0 is missing');
  });

  it('finds a key with a wrong index row', async () => {
    const { engine, close } = await open(directory);
    const row = Buffer.from(engine.get('latest', Buffer.from('key-9'))!);
    await close();
    row.writeUIntBE(77, 18, 6);
    expect(await tamper((batch) => batch.put('latest', Buffer.from('key-9'), row))).toEqual([
      'latest "key-9": does not match its change 39.0',
    ]);
  });

  it('finds a lost key', async () => {
    const findings = await tamper((batch) => batch.del('latest', Buffer.from('key-9')));
    expect(findings.join('\n')).toMatch(/changes, but \d+ keys and \d+ versions/);
    expect(findings.join('\n')).toMatch(/key counts: count/);
  });

  it('finds a store that is ahead of its log', async () => {
    const findings = await tamper((batch) =>
      stageAppliedState(batch, { index: 41, term: 2, confState: ConfState.create() }),
    );
    expect(findings).toEqual(['meta applied index: 41 is after the last entry 40 of the log']);
  });

  it('finds different terms in log and store', async () => {
    const findings = await tamper((batch) =>
      stageAppliedState(batch, { index: 40, term: 3, confState: ConfState.create() }),
    );
    expect(findings).toEqual([
      'meta applied index: entry 40 was applied with term 3, but has term 2 in the log',
    ]);
  });

  it('reports file and offset of a damaged log; the command prints text or JSON and exits with 1', async () => {
    const wal = join(directory, 'member/wal');
    const file = join(
      wal,
      readdirSync(wal).find((name) => name.endsWith('.wal'))!,
    );
    const bytes = readFileSync(file);
    bytes[300]! ^= 1;
    writeFileSync(file, bytes);
    const printed: string[] = [];
    const print = (text: string): void => void printed.push(text);
    expect(await runVerify(['--data-dir', directory], print, print)).toBe(1);
    expect(printed.join()).toMatch(
      /WRONG +0000000000000000-0000000000000000\.wal:\d+: write-ahead log is corrupt/,
    );
    expect(await runVerify([`--data-dir=${directory}`, '-w', 'json'], print, print)).toBe(1);
    expect(JSON.parse(printed.at(-1)!)).toMatchObject({ ok: false, dataDirectory: directory });
  });

  it('says that the next start finishes an interrupted large change, and exits with 0', async () => {
    const { engine, close } = await open(directory);
    const store = new MvccStore(engine);
    const txn = store.begin();
    for (const name of ['key-1', 'key-2', 'key-x']) txn.put(Buffer.from(name), Buffer.from('large'), 0n);
    txn.end();
    write(engine, (batch) => store.stagePart(batch, 2));
    await close();
    const printed: string[] = [];
    const print = (text: string): void => void printed.push(text);
    // An entry that is not in the log cannot be applied again.
    expect(await runVerify(['--data-dir', directory], print, print)).toBe(1);
    const again = await open(directory);
    const entries = [Entry.create({ index: 41, term: 2, data: Buffer.from('large') })];
    await new Promise<void>((resolve) => again.log.append({ entries, hardState: undefined }, resolve));
    await again.close();
    expect(await runVerify(['--data-dir', directory], print, print)).toBe(0);
    expect(printed.at(-1)).toContain('the change at revision 41 was interrupted; it will be finished');
  });

  it('exits with 2 if the directory is invalid, in use, or not given', async () => {
    const printed: string[] = [];
    const print = (text: string): void => void printed.push(text);
    expect(await runVerify([], print, print)).toBe(2);
    expect(await runVerify(['--data-dir', join(root, 'nowhere')], print, print)).toBe(2);
    const storage = await open(directory);
    expect(await runVerify(['--data-dir', directory], print, print)).toBe(2);
    expect(printed.at(-1)).toContain('in use by another process');
    await storage.close();
  });
});
