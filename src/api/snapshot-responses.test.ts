import { expect, it } from 'vitest';
import type { SnapshotExport } from '../ports/snapshot.ts';
import { ConfState } from '../wire/gen/raftpb.ts';
import { snapshotResponses } from './snapshot-responses.ts';

it('a snapshot is sent in messages of at most 32 KiB, with its checksum last', async () => {
  const chunks = [100_000, 4096, 40_000].map((bytes, n) => Buffer.alloc(bytes, n + 1));
  const file = Buffer.concat(chunks);
  let closed = 0;
  const left = [...chunks];
  const snapshot: SnapshotExport = {
    totalBytes: file.length,
    index: 1,
    term: 1,
    confState: ConfState.create(),
    storageVersion: '3.7.0',
    sha256: Buffer.from('checksum'),
    read: () => Promise.resolve(left.shift()),
    async *chunks() {
      try {
        for (let chunk = await this.read(); chunk !== undefined; chunk = await this.read()) yield chunk;
      } finally {
        await this.close();
      }
    },
    close: () => {
      closed += 1;
      return Promise.resolve();
    },
  };
  const blobs: Buffer[] = [];
  let sent = 0;
  for await (const { blob, remainingBytes, version } of snapshotResponses(snapshot)) {
    sent += blob.length;
    expect(version).toBe('3.7.0');
    expect(blob.length).toBeLessThanOrEqual(32_768);
    expect(remainingBytes).toBe(Math.max(file.length - sent, 0));
    blobs.push(blob);
  }
  expect(blobs.pop()?.toString()).toBe('checksum');
  expect(Buffer.concat(blobs).equals(file)).toBe(true);
  expect(closed).toBe(1);
});
