import type { SnapshotExport } from '../ports/snapshot.ts';
import { SnapshotResponse } from '../wire/gen/etcdserverpb.ts';
import { EMPTY } from '../wire/reader.ts';

/** etcd's message size. Some clients need messages of a modest size. */
const BLOB_BYTES = 32 * 1024;

/**
 * The messages of Maintenance.Snapshot: the file in parts, then its SHA-256. Clients save the hash after the file and
 * check it on restore. The export is closed at the end, also when the client disconnects.
 */
export async function* snapshotResponses(snapshot: SnapshotExport): AsyncGenerator<SnapshotResponse, void> {
  const version = snapshot.storageVersion;
  let remaining = snapshot.totalBytes;
  for await (const chunk of snapshot.chunks()) {
    for (let at = 0; at < chunk.length; at += BLOB_BYTES) {
      const blob = chunk.subarray(at, at + BLOB_BYTES);
      remaining -= blob.length;
      yield SnapshotResponse.create({ remainingBytes: remaining, blob, version });
    }
  }
  yield SnapshotResponse.create({ remainingBytes: 0, blob: snapshot.sha256 ?? EMPTY, version });
}
