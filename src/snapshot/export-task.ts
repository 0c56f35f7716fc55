import { createHash, type Hash } from 'node:crypto';
import type { MessagePort } from 'node:worker_threads';
import { databaseChunks, measureDatabase } from '../bbolt/writer.ts';
import type { StoreView } from '../ports/store-view.ts';
import { ConfState } from '../wire/gen/raftpb.ts';
import { BackendContents } from './backend-contents.ts';
import type { ExportMessage, MoreMessage, SeekMessage } from './worker-messages.ts';

/** Runs on the worker: measures the store, then writes a chunk for each request message. */
export function runExport(view: StoreView, chunkBytes: number, port: MessagePort): void {
  const contents = new BackendContents(view);
  const layout = measureDatabase(contents);
  const { index, term, confState, storageVersion } = contents.state;
  const send = (message: ExportMessage, memory: ArrayBuffer[] = []): void =>
    port.postMessage(message, memory);
  send({
    type: 'opened',
    totalBytes: layout.totalBytes,
    index,
    term,
    confState: ConfState.encode(confState),
    storageVersion,
  });
  const begin = (offset: number, round: number): Reading => ({
    chunks: databaseChunks(contents, layout, chunkBytes),
    hash: createHash('sha256'),
    round,
    skipping: offset,
    hasEnded: false,
  });
  let reading = begin(0, 0);
  port.on('message', (message: MoreMessage | SeekMessage) => {
    if (message.type === 'seek') {
      reading.chunks.return();
      reading = begin(message.offset, message.round);
      return;
    }
    if (reading.hasEnded) return;
    const { round, hash } = reading;
    const bytes = nextOf(reading);
    if (bytes !== undefined) {
      send({ type: 'chunk', round, bytes }, [bytes.buffer as ArrayBuffer]);
      return;
    }
    // The view stays open until the worker ends, because the file may be read again.
    reading.hasEnded = true;
    send({ type: 'end', round, sha256: hash.digest() });
  });
}

interface Reading {
  readonly chunks: Generator<Buffer, void>;
  readonly hash: Hash;
  readonly round: number;
  /** How many bytes are skipped. */
  skipping: number;
  hasEnded: boolean;
}

/** A chunk with its own memory; undefined after the last one. */
function nextOf(reading: Reading): Uint8Array | undefined {
  for (;;) {
    const { value: bytes } = reading.chunks.next();
    if (bytes === undefined) return undefined;
    reading.hash.update(bytes);
    const { skipping } = reading;
    reading.skipping = Math.max(0, skipping - bytes.length);
    if (skipping === 0) return bytes;
    if (skipping < bytes.length) return new Uint8Array(bytes.subarray(skipping));
  }
}
