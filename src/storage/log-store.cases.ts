import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LogContents, LogStore } from '../ports/log-store.ts';
import { ConfState, Entry, EntryType, HardState } from '../wire/gen/raftpb.ts';
import { EMPTY } from '../wire/reader.ts';

export interface OpenedLogStore<Log extends LogStore> {
  readonly log: Log;
  readonly contents: LogContents;
}

export const entry = (index: number, data = `data ${index}`, term = 1): Entry =>
  Entry.create({ type: EntryType.EntryNormal, index, term, data: Buffer.from(data) });

export const state = (term: number, commit: number, vote = 0xfedc_ba98_7654_3210n): HardState =>
  HardState.create({ term, vote, commit });

export function appended(log: LogStore, entries: Entry[], hardState?: HardState): Promise<void> {
  return new Promise((resolve) => log.append({ entries, hardState }, resolve));
}

const indexes = (entries: readonly Entry[]): number[] => entries.map(({ index }) => index);

/**
 * Tests of what all log stores have in common. `reopen` closes the given log and opens it again, as a restart would.
 */
export function logStoreCases<Log extends LogStore>(
  name: string,
  create: () => Promise<OpenedLogStore<Log>>,
  reopen: (log: Log) => Promise<OpenedLogStore<Log>>,
): void {
  describe(`${name}: log store`, () => {
    let log: Log;
    beforeEach(async () => {
      ({ log } = await create());
    });
    afterEach(() => log.close());

    const restart = async (): Promise<LogContents> => {
      const opened = await reopen(log);
      log = opened.log;
      return opened.contents;
    };

    it('is empty at first', async () => {
      expect(log.lastIndex).toBe(0);
      expect(log.room).toBe(Infinity);
      const contents = await restart();
      expect(contents.metadata.toString()).toBe('metadata');
      expect(contents.entries).toEqual([]);
      expect(contents.hardState).toEqual(HardState.create());
      expect(contents.snapshot.index).toBe(0);
    });

    it('returns entries and state after a restart', async () => {
      const withoutData = Entry.create({ type: EntryType.EntryConfChangeV2, index: 3, term: 2 });
      const large = entry(4, 'x'.repeat(100_000), 2);
      const conf = Entry.create({
        type: EntryType.EntryConfChange,
        index: 2,
        term: 1,
        data: EMPTY,
      });
      await appended(log, [entry(1), conf], state(1, 0));
      await appended(log, [withoutData, large], state(2, 2));
      expect(log.lastIndex).toBe(4);
      const contents = await restart();
      expect(contents.entries).toEqual([entry(1), conf, withoutData, large]);
      expect(contents.hardState).toEqual(state(2, 2));
      expect(contents.repaired).toBeUndefined();
      expect(log.lastIndex).toBe(4);
    });

    it('calls back in order, and never from within append', async () => {
      const order: string[] = [];
      log.append({ entries: [entry(1)], hardState: undefined }, () => order.push('first'));
      log.append({ entries: [entry(2)], hardState: undefined }, () => order.push('second'));
      order.push('appended');
      await appended(log, [entry(3)]);
      expect(order).toEqual(['appended', 'first', 'second']);
    });

    it('calls back for an append with only a commit index after the appends before it', async () => {
      const order: string[] = [];
      await appended(log, [entry(1)], state(1, 0));
      log.append({ entries: [entry(2)], hardState: undefined }, () => order.push('entries'));
      log.flush();
      log.append({ entries: [], hardState: state(1, 1) }, () => order.push('commit'));
      log.append({ entries: [entry(3)], hardState: undefined }, () => order.push('more entries'));
      await appended(log, [], state(1, 2));
      expect(order).toEqual(['entries', 'commit', 'more entries']);
    });

    it('a close saves an append with only a commit index', async () => {
      await appended(log, [entry(1)], state(1, 0));
      await appended(log, [], state(1, 1));
      expect((await restart()).hardState).toEqual(state(1, 1));
    });

    it('replaces the end of the log', async () => {
      await appended(
        log,
        [1, 2, 3, 4, 5].map((index) => entry(index)),
      );
      await appended(log, [entry(3, 'new', 2), entry(4, 'new', 2)], state(2, 2));
      expect(log.lastIndex).toBe(4);
      expect((await restart()).entries).toEqual([entry(1), entry(2), entry(3, 'new', 2), entry(4, 'new', 2)]);
    });

    it('refuses a gap', () => {
      expect(() => log.append({ entries: [entry(2)], hardState: undefined }, () => undefined)).toThrow(/gap/);
    });

    it('restarts from the newest snapshot record', async () => {
      await appended(
        log,
        [1, 2, 3, 4].map((index) => entry(index)),
        state(1, 4),
      );
      const confState = ConfState.create({ voters: [0xfedc_ba98_7654_3210n, 7n] });
      await log.release({ index: 2, term: 1, confState });
      const contents = await restart();
      expect(contents.snapshot).toEqual({ index: 2, term: 1, confState });
      expect(indexes(contents.entries)).toEqual([3, 4]);
      expect(indexes(contents.earlier)).toEqual([1, 2]);
    });

    it('replaces the end of the log by entries of a lower term: figure 8 of the Raft paper', async () => {
      await appended(log, [entry(1), entry(2, 'own', 2)], state(2, 1));
      await appended(log, [], state(3, 1));
      await appended(log, [entry(2, 'own', 3)], state(3, 1));
      await appended(log, [entry(2, 'of the leader of term 2', 2), entry(3, 'new', 4)], state(4, 1));
      expect((await restart()).entries).toEqual([
        ...[entry(1), entry(2, 'of the leader of term 2', 2)],
        entry(3, 'new', 4),
      ]);
    });

    it('drops all entries if it does not have the entry of a snapshot record', async () => {
      await appended(log, [entry(1), entry(2, 'own', 3), entry(3, 'own', 3)], state(3, 1));
      // Received from another member: term 2 came first there, and was committed by the leader of term 4.
      await log.release({ index: 2, term: 2, confState: ConfState.create() });
      expect(log.lastIndex).toBe(2);
      const contents = await restart();
      expect([contents.snapshot.index, contents.snapshot.term, contents.entries]).toEqual([2, 2, []]);
      expect(contents.earlier).toEqual([]);
      expect(log.lastIndex).toBe(2);
      await appended(log, [entry(3, 'new', 4)], state(4, 3));
      expect((await restart()).entries).toEqual([entry(3, 'new', 4)]);
    });

    it('ignores a snapshot record that is older than the newest', async () => {
      await appended(log, [entry(1), entry(2), entry(3)], state(1, 3));
      await log.release({ index: 3, term: 1, confState: ConfState.create() });
      await log.release({ index: 1, term: 1, confState: ConfState.create() });
      expect((await restart()).snapshot.index).toBe(3);
    });

    it('continues after a snapshot record beyond its end', async () => {
      await appended(log, [entry(1)], state(1, 1));
      await log.release({ index: 10, term: 3, confState: ConfState.create() });
      expect(log.lastIndex).toBe(10);
      await appended(log, [entry(11, 'after', 3)], state(3, 11));
      const contents = await restart();
      expect(contents.snapshot.index).toBe(10);
      expect(contents.entries).toEqual([entry(11, 'after', 3)]);
    });
  });
}
