import { defined } from '../lib/assert.ts';
import type { Steps } from '../lib/steps.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import { EMPTY } from '../wire/reader.ts';
import { attachedRange, attachedRow, keyOfAttachedRow } from './rows.ts';

const SCAN_ROWS = 256;
/**
 * Which keys are attached to which lease: the engine's rows plus the changes of the current batch. No memory is kept
 * per key between batches, so a million leased keys cost none.
 */
export class Attachments {
  readonly #engine: Engine;
  /** Lease -> key as latin1 -> whether the current batch attaches or detaches it. */
  readonly #pending = new Map<bigint, Map<string, boolean>>();
  /** Whether reads see only the rows. */
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

  /** From now on reads do not see the current batch, because it continues in another turn. */
  hide(): void {
    this.#hidden = true;
  }

  show(): void {
    this.#hidden = false;
  }

  /** The keys of the lease in ascending byte order. Every member deletes them in this order on a revoke. */
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

  /** Whether the lease has more than `count` keys, including those that the current batch attaches. */
  hasMoreThan(id: bigint, count: number): boolean {
    const rows = this.#engine.iterate('lease', { ...attachedRange(id), keysOnly: true });
    let left = count - (this.#pending.get(id)?.size ?? 0);
    // One call reads fewer rows if the keys are long.
    while (left >= 0) {
      const found = rows.next(left + 1).length / 2;
      if (found === 0) break;
      left -= found;
    }
    rows.close();
    return left < 0;
  }

  /** Puts the changes into the batch. The batch must be written before the next read. */
  stage(batch: WriteBatch): void {
    if (this.#pending.size > 0) this.stagePart(batch, Infinity);
  }

  /** Puts up to `count` changes into the batch. @returns whether these are the last ones */
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

  /** Drops the changes of the current batch, as when a snapshot replaces the engine's contents. */
  reset(): void {
    this.#pending.clear();
    this.#hidden = false;
  }
}
