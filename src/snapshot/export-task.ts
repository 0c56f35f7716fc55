import { createHash } from 'node:crypto';
import type { MessagePort } from 'node:worker_threads';
import { databaseChunks, measureDatabase } from '../bbolt/writer.ts';
import type { StoreView } from '../ports/store-view.ts';
import { ConfState } from '../wire/gen/raftpb.ts';
import { BackendContents } from './backend-contents.ts';
import type { ExportMessage } from './worker-messages.ts';

/** On the worker: measures the store, then writes a chunk for each message that asks for one. */
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
  const chunks = databaseChunks(contents, layout, chunkBytes);
  const hash = createHash('sha256');
  let hasEnded = false;
  port.on('message', () => {
    if (hasEnded) return;
    const { value: bytes } = chunks.next();
    if (bytes !== undefined) {
      hash.update(bytes);
      send({ type: 'chunk', bytes }, [bytes.buffer as ArrayBuffer]);
      return;
    }
    hasEnded = true;
    view.close();
    send({ type: 'end', sha256: hash.digest() });
    port.close();
  });
}
