import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { StoreHash } from '../../mvcc/hash.ts';
import { exportInline, hashOf, History } from '../../snapshot/testing/history.ts';
import type { BackupSource } from '../take.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-backup-test-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let made = 0;
/** A path that does not exist yet. */
export const fresh = (): string => join(root, String(made++));

/** A member with a random history. */
export class HistorySource implements BackupSource {
  readonly history: History;
  /** Called after each snapshot, before its HashKV is asked for. */
  afterSave: () => void = () => undefined;

  private constructor(history: History) {
    this.history = history;
  }

  static async make(seed: number): Promise<HistorySource> {
    const history = await History.make(fresh(), seed);
    history.run(40);
    return new HistorySource(history);
  }

  save(path: string): Promise<void> {
    const file = exportInline(this.history.engine);
    writeFileSync(path, Buffer.concat([file, createHash('sha256').update(file).digest()]));
    this.afterSave();
    return Promise.resolve();
  }

  hashKv(revision: number): ReturnType<BackupSource['hashKv']> {
    const { store } = this.history;
    if (revision < store.compactRevision) return Promise.resolve(undefined);
    const { hash, compactRevision } = hashOf(this.history.engine, revision) as StoreHash;
    return Promise.resolve({ hash, compactRevision, clusterId: 0xc1n, memberId: 0xabn });
  }
}
