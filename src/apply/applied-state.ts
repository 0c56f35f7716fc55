import { assert } from '../lib/assert.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import { ConfState } from '../wire/gen/raftpb.ts';

/**
 * Rows of the `meta` column that say how much of the raft log is applied to the engine, with etcd's names: index and
 * term of the last applied entry (8 bytes, big-endian) and the raft configuration at that entry (raftpb.ConfState).
 */
const INDEX_ROW = Buffer.from('consistent_index');
const TERM_ROW = Buffer.from('term');
const CONF_STATE_ROW = Buffer.from('confState');

/** Staged in the same batch as the entries. After a crash each entry has been applied once or not at all. */
export class AppliedState {
  #index = 0;
  #term = 0;
  #stagedTerm = -1;
  #confState: ConfState = ConfState.create();
  #confStateChanged = false;

  constructor(engine: Engine) {
    this.recover(engine);
  }

  recover(engine: Engine): void {
    this.#index = readNumber(engine.get('meta', INDEX_ROW));
    this.#term = readNumber(engine.get('meta', TERM_ROW));
    this.#stagedTerm = -1;
    const confState = engine.get('meta', CONF_STATE_ROW);
    this.#confState = confState === undefined ? ConfState.create() : ConfState.decode(confState);
    this.#confStateChanged = false;
  }

  /** 0 if nothing has been applied to the store. */
  get index(): number {
    return this.#index;
  }

  get term(): number {
    return this.#term;
  }

  get confState(): ConfState {
    return this.#confState;
  }

  advance(index: number, term: number): void {
    assert(index === this.#index + 1, `entries are applied without gaps: ${index} follows ${this.#index}`);
    assert(term >= this.#term, 'terms of applied entries never decrease');
    this.#index = index;
    this.#term = term;
  }

  setConfState(confState: ConfState): void {
    this.#confState = confState;
    this.#confStateChanged = true;
  }

  stage(batch: WriteBatch): void {
    batch.put('meta', INDEX_ROW, toBytes(this.#index));
    if (this.#term !== this.#stagedTerm) batch.put('meta', TERM_ROW, toBytes(this.#term));
    if (this.#confStateChanged) batch.put('meta', CONF_STATE_ROW, ConfState.encode(this.#confState));
    this.#stagedTerm = this.#term;
    this.#confStateChanged = false;
  }
}

/** Records a state that was not reached by applying entries: bootstrap, a restored backup, a received snapshot. */
export function stageAppliedState(
  batch: WriteBatch,
  state: { readonly index: number; readonly term: number; readonly confState: ConfState },
): void {
  batch.put('meta', INDEX_ROW, toBytes(state.index));
  batch.put('meta', TERM_ROW, toBytes(state.term));
  batch.put('meta', CONF_STATE_ROW, ConfState.encode(state.confState));
}

function readNumber(bytes: Buffer | undefined): number {
  return bytes === undefined ? 0 : Number(bytes.readBigUInt64BE(0));
}

function toBytes(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeUInt32BE(Math.floor(value / 0x1_0000_0000), 0);
  bytes.writeUInt32BE(value % 0x1_0000_0000, 4);
  return bytes;
}
