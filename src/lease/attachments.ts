import { defined } from '../lib/assert.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import { attachedRange, attachedRow, keyOfAttachedRow } from './rows.ts';

const SCAN_ROWS = 1024;
const EMPTY = Buffer.alloc(0);

/**
 * Which keys hang on which lease: the engine's rows, overlaid with what the running batch has changed.
 * Nothing is kept per key between batches, so a million leased keys cost no memory.
 */
export class Attachments {
  readonly #engine: Engine;
  /** lease -> key as latin1 -> attached or detached in the running batch. */
  readonly #pending = new Map<bigint, Map<string, boolean>>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  attach(id: bigint, key: Buffer): void {
    this.#note(id, key, true);
  }

  detach(id: bigint, key: Buffer): void {
    this.#note(id, key, false);
  }

  #note(id: bigint, key: Buffer, attached: boolean): void {
    let keys = this.#pending.get(id);
    if (keys === undefined) {
      keys = new Map();
      this.#pending.set(id, keys);
    }
    keys.set(key.toString('latin1'), attached);
  }

  /** Keys of the lease in ascending byte order, which is the order in which every member deletes them on revoke. */
  keysOf(id: bigint): Buffer[] {
    const keys: Buffer[] = [];
    const pending = this.#pending.get(id);
    const rows = this.#engine.iterate('lease', { ...attachedRange(id), keysOnly: true });
    try {
      for (;;) {
        const chunk = rows.next(SCAN_ROWS);
        if (chunk.length === 0) break;
        for (let i = 0; i < chunk.length; i += 2) {
          const key = keyOfAttachedRow(defined(chunk[i], 'iterator rows come in pairs'));
          if (pending === undefined || !pending.has(key.toString('latin1'))) keys.push(key);
        }
      }
    } finally {
      rows.close();
    }
    if (pending === undefined) return keys;
    for (const [key, attached] of pending) if (attached) keys.push(Buffer.from(key, 'latin1'));
    return keys.sort((a, b) => Buffer.compare(a, b));
  }

  /** Hands the batch's changes over. The batch must be written before the next read. */
  stage(batch: WriteBatch): void {
    if (this.#pending.size === 0) return;
    for (const [id, keys] of this.#pending) {
      for (const [key, attached] of keys) {
        const row = attachedRow(id, Buffer.from(key, 'latin1'));
        if (attached) batch.put('lease', row, EMPTY);
        else batch.del('lease', row);
      }
    }
    this.#pending.clear();
  }

  /** Drops what the running batch has changed, as when a snapshot replaces the engine's contents. */
  reset(): void {
    this.#pending.clear();
  }
}
