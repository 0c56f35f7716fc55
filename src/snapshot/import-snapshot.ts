import { promises as fs } from 'node:fs';
import { ConfState } from '../wire/gen/raftpb.ts';
import type { ImportedState } from './import-backend.ts';
import { startWorker } from '../threads/start-worker.ts';
import type { ImportMessage, WorkerTask } from './worker-messages.ts';

export interface ImportSnapshotOptions {
  /**
   * A file in the format of etcd's database: from a data directory, from `etcdctl snapshot save` (its checksum is
   * verified), or received from a leader.
   */
  readonly file: string;
  /** The directory of the new store. Its old contents are removed first. */
  readonly directory: string;
  /** Ignores a checksum at the end of the file. */
  readonly skipChecksum?: boolean;
  /** The raft state for files that do not have it, as those of etcd before 3.5. */
  readonly fallback?: { readonly term: number; readonly confState: ConfState };
  /** Called with the number of changes imported so far. */
  readonly onProgress?: (events: number) => void;
}

/**
 * Makes a Keystead store from a file of etcd's database, on a worker thread. When the promise resolves, the store is
 * complete, closed and on disk. When it rejects, the directory is removed. `RocksEngine.replaceFiles` puts the store
 * into a running member.
 *
 * If the file is damaged, the error names the page.
 */
export async function importSnapshot(options: ImportSnapshotOptions): Promise<ImportedState> {
  const { file, directory, fallback } = options;
  await fs.rm(directory, { recursive: true, force: true });
  try {
    return await importOnWorker(
      {
        kind: 'import',
        file,
        directory,
        skipChecksum: options.skipChecksum === true,
        fallback:
          fallback === undefined
            ? undefined
            : { term: fallback.term, confState: ConfState.encode(fallback.confState) },
      },
      options.onProgress,
    );
  } catch (error) {
    await fs.rm(directory, { recursive: true, force: true });
    throw error;
  }
}

function importOnWorker(
  task: WorkerTask,
  onProgress: ImportSnapshotOptions['onProgress'],
): Promise<ImportedState> {
  return new Promise((resolve, reject) => {
    const worker = startWorker('snapshot-worker', { workerData: task });
    let imported: ImportedState | undefined;
    worker.on('message', (message: ImportMessage) => {
      if (message.type === 'progress') return onProgress?.(message.events);
      const confState = message.confState === undefined ? undefined : ConfState.decode(message.confState);
      imported = { ...message.state, confState };
    });
    worker.once('error', reject);
    worker.once('exit', () => {
      if (imported === undefined) reject(new Error('the import ended before its end'));
      else resolve(imported);
    });
  });
}
