import type { WriteBatch } from '../ports/engine.ts';
import { IndexMeta, indexMetaSize, writeIndexMeta } from './index-meta.ts';
import { REVISION_BYTES, writeRevision } from './revision.ts';
import { ScratchBuffers } from './scratch-buffers.ts';
import type { StoreEvent } from './store.ts';
import { versionKeyIn } from './version-key.ts';

/**
 * Puts the rows of changes into a batch. A batch copies its arguments, so the same buffers are reused for all rows but
 * those of events.
 */
export class RowStager {
  readonly #revision = Buffer.allocUnsafeSlow(REVISION_BYTES);
  readonly #metas = new ScratchBuffers();
  readonly #keys = new ScratchBuffers();

  /** The index entry of a live key. */
  latest(batch: WriteBatch, key: Buffer, meta: IndexMeta): void {
    batch.put('latest', key, this.#meta(meta));
  }

  /** The change, and the previous index entry of the key for reads at past revisions. */
  event(batch: WriteBatch, event: StoreEvent): void {
    const { main, sub, key, previous, row } = event;
    writeRevision(this.#revision, 0, main, sub);
    batch.put('event', this.#revision, row);
    if (previous !== undefined) this.#version(batch, key, previous);
    if (event.isDelete) this.#version(batch, key, tombstone(main, sub, event.kv.length));
  }

  #version(batch: WriteBatch, key: Buffer, meta: IndexMeta): void {
    batch.put('version', versionKeyIn(this.#keys, key, meta.mod, meta.sub), this.#meta(meta));
  }

  #meta(meta: IndexMeta): Buffer {
    const row = this.#metas.ofSize(indexMetaSize(meta));
    writeIndexMeta(row, meta);
    return row;
  }
}

function tombstone(mod: number, sub: number, size: number): IndexMeta {
  return new IndexMeta({ mod, sub, create: 0, version: 0, lease: 0n, size, kv: undefined });
}
