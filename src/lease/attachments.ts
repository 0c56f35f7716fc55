import { defined } from '../lib/assert.ts';
import type { Steps } from '../lib/steps.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import { attachedRange, attachedRow, keyOfAttachedRow } from './rows.ts';

const SCAN_ROWS = 256;
const EMPTY = Buffer.alloc(0);

/**
 * Which keys hang on which lease: the engine's rows, overlaid with what the running batch has changed.
 * Nothing is kept per key between batches, so a million leased keys cost no memory.
 */
export class Attachments {
  readonly #engine: Engine;
  /** lease -> key as latin1 -> attached or detached in the running batch. */
  readonly #pending = new Map<bigint, Map<string, boolean>>();
  /** Reads see the rows alone. */
  #hidden = false;

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

  /** From now on reads do not see the running batch: it is gone on with in another turn. */
  hide(): void {
    this.#hidden = true;
  }

  show(): void {
    this.#hidden = false;
  }

  /** Keys of the lease in ascending byte order, which is the order in which every member deletes them on revoke. */
  *keysOf(id: bigint): Steps<Buffer[]> {
    const keys: Buffer[] = [];
    const pending = this.#hidden ? undefined : this.#pending.get(id);
    const rows = this.#engine.iterate('lease', { ...attachedRange(id), keysOnly: true });
    try {
      for (let isFirst = true; ; isFirst = false) {
        const chunk = rows.next(SCAN_ROWS);
        if (chunk.length === 0) break;
        if (!isFirst) yield;
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

  /** Whether the lease has more keys than that, those that the running batch attaches included. */
  hasMoreThan(id: bigint, count: number): boolean {
    const rows = this.#engine.iterate('lease', { ...attachedRange(id), keysOnly: true });
    const found = rows.next(count + 1).length / 2;
    rows.close();
    return found + (this.#pending.get(id)?.size ?? 0) > count;
  }

  /** Hands the batch's changes over. The batch must be written before the next read. */
  stage(batch: WriteBatch): void {
    if (this.#pending.size > 0) this.stagePart(batch, Infinity);
  }

  /** Hands over as many of them. @returns whether these are the last ones */
  stagePart(batch: WriteBatch, count: number): boolean {
    let left = count;
    for (const [id, keys] of this.#pending) {
      for (const [key, attached] of keys) {
        if (left <= 0) return false;
        left -= 1;
        const row = attachedRow(id, Buffer.from(key, 'latin1'));
        if (attached) batch.put('lease', row, EMPTY);
        else batch.del('lease', row);
        keys.delete(key);
      }
      this.#pending.delete(id);
    }
    return true;
  }

  /** Drops what the running batch has changed, as when a snapshot replaces the engine's contents. */
  reset(): void {
    this.#pending.clear();
    this.#hidden = false;
  }
}
