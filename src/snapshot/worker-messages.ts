import type { StoreHash } from '../mvcc/hash.ts';
import type { ImportedState } from './import-backend.ts';

/** The task of a new snapshot worker. */
export type WorkerTask =
  | { readonly kind: 'export'; readonly sharedHandle: bigint; readonly chunkBytes: number }
  | {
      readonly kind: 'import';
      readonly file: string;
      readonly directory: string;
      readonly skipChecksum: boolean;
      readonly fallback: { readonly term: number; readonly confState: Uint8Array } | undefined;
    }
  | {
      readonly kind: 'hash';
      readonly sharedHandle: bigint;
      readonly revision: number;
      readonly compactRevision: number;
      readonly finishedRevision: number;
      readonly isCompaction: boolean;
    };

/** To an exporting worker: make one more chunk. */
export interface MoreMessage {
  readonly type: 'more';
}

/** To an exporting worker: the next chunk begins at this offset of the file, which may have been read before. */
export interface SeekMessage {
  readonly type: 'seek';
  readonly offset: number;
  /** Sent back with the following chunks, so that older chunks can be recognised. */
  readonly round: number;
}

export type ExportMessage =
  | {
      readonly type: 'opened';
      readonly totalBytes: number;
      readonly index: number;
      readonly term: number;
      /** Encoded raftpb.ConfState. */
      readonly confState: Uint8Array;
      readonly storageVersion: string;
    }
  | { readonly type: 'chunk'; readonly round: number; readonly bytes: Uint8Array }
  | { readonly type: 'end'; readonly round: number; readonly sha256: Uint8Array };

/** From a hashing worker: its view is open; then the result. */
export type HashMessage = { readonly type: 'opened' } | { readonly type: 'hashed'; readonly hash: StoreHash };

export type ImportMessage =
  | { readonly type: 'progress'; readonly events: number }
  | {
      readonly type: 'imported';
      readonly state: Omit<ImportedState, 'confState'>;
      /** Encoded raftpb.ConfState. */
      readonly confState: Uint8Array | undefined;
    };
