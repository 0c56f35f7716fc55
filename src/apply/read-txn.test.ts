import { beforeEach, describe, expect, it } from 'vitest';
import { runSteps, type Steps } from '../lib/steps.ts';
import { keyRange } from '../mvcc/key-range.ts';
import { MvccStore } from '../mvcc/store.ts';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { errors } from '../wire/errors.ts';
import { Compare, RangeRequest, RequestOp, TxnRequest, TxnResponse } from '../wire/gen/etcdserverpb.ts';
import { readTxnAt } from './read-txn.ts';
import type { ApplyResult } from './results.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const read = (key: string, over: Partial<RangeRequest> = {}): RequestOp =>
  RequestOp.create({
    request: { case: 'requestRange', value: RangeRequest.create({ key: bytes(key), ...over }) },
  });
/** Whether the value of `key` is this one. */
const hasValue = (key: string, value: string): Compare =>
  Compare.create({
    key: bytes(key),
    target: 3,
    result: 0,
    targetUnion: { case: 'value', value: bytes(value) },
  });

let engine: MemoryEngine;
let store: MvccStore;

function change(make: (put: (key: string, value: string) => void) => void): void {
  const txn = store.begin();
  make((key, value) => void txn.put(bytes(key), bytes(value), 0n));
  txn.end();
  const batch = engine.batch();
  store.stage(batch);
  engine.write(batch);
  store.committed();
}

/** The answer: whether the comparisons held, and for each read its keys with their values, and the count. */
function answer(result: ApplyResult): unknown {
  if (!('body' in result)) return result;
  const { succeeded, responses } = TxnResponse.decode(Buffer.concat(result.body.slices));
  return {
    revision: result.revision,
    succeeded,
    reads: responses.map(({ response }) => {
      if (response?.case !== 'responseRange') return response?.case;
      const { kvs, count } = response.value;
      return { kvs: kvs.map(({ key, value }) => `${key.toString()}=${value.toString()}`), count };
    }),
  };
}

beforeEach(() => {
  engine = new MemoryEngine();
  store = new MvccStore(engine);
  change((put) => put('a', 'first'));
  change((put) => put('b', 'second'));
});

describe('a read-only transaction', () => {
  it('reads what its comparisons choose', () => {
    const request = TxnRequest.create({
      compare: [hasValue('a', 'first')],
      success: [read('a'), read('none')],
      failure: [read('b')],
    });
    expect(answer(runSteps(readTxnAt(store, request, store.revision)))).toEqual({
      revision: 3,
      succeeded: true,
      reads: [
        { kvs: ['a=first'], count: 1 },
        { kvs: [], count: 0 },
      ],
    });
    change((put) => put('a', 'changed'));
    expect(answer(runSteps(readTxnAt(store, request, store.revision)))).toEqual({
      revision: 4,
      succeeded: false,
      reads: [{ kvs: ['b=second'], count: 1 }],
    });
  });

  it('takes all its reads at one revision, whatever is written between its steps', () => {
    change((put) => {
      for (let at = 0; at < 3000; at += 1) put(`k${String(at).padStart(4, '0')}`, 'old');
    });
    const all = { rangeEnd: bytes('l') };
    const request = TxnRequest.create({
      compare: [hasValue('a', 'first')],
      success: [read('k', all), read('a'), read('k', { ...all, countOnly: true })],
      failure: [],
    });
    const expected = answer(runSteps(readTxnAt(store, request, store.revision)));
    const steps: Steps<ApplyResult> = readTxnAt(store, request, store.revision);
    let turns = 0;
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done === true) {
        expect(answer(step.value)).toEqual(expected);
        break;
      }
      turns += 1;
      change((put) => {
        put('a', `later ${turns}`);
        put(`k${String(turns).padStart(4, '0')}`, 'new');
        put(`k${turns}-more`, 'new');
      });
      if (turns === 2) {
        const txn = store.begin();
        txn.deleteRange(keyRange(bytes('k2'), bytes('l')));
        txn.end();
        const batch = engine.batch();
        store.stage(batch);
        engine.write(batch);
        store.committed();
      }
    }
    expect(turns).toBeGreaterThan(3);
  });

  it('refuses a read of a compacted or a future revision as a whole', () => {
    const batch = engine.batch();
    store.compact(2, batch);
    engine.write(batch);
    const refused = (revision: number): unknown =>
      answer(
        runSteps(
          readTxnAt(
            store,
            TxnRequest.create({ success: [read('a'), read('a', { revision })] }),
            store.revision,
          ),
        ),
      );
    expect(refused(1)).toBe(errors.Compacted);
    expect(refused(9)).toBe(errors.FutureRev);
    expect(refused(2)).toMatchObject({ succeeded: true });
  });
});
