import { afterAll, beforeAll, expect, it } from 'vitest';
import { collect, TestClient } from '../grpc/test-client.ts';
import type { ResumableExport } from '../ports/snapshot.ts';
import { HashKVRequest, HashKVResponse } from '../wire/gen/etcdserverpb.ts';
import { ConfState } from '../wire/gen/raftpb.ts';
import { Maintenance } from '../wire/services.ts';
import { registerMaintenance } from './maintenance.ts';
import { ApiServer } from './testing/api-server.ts';

const CHUNK_BYTES = 256 * 1024;
const noLog = (): void => undefined;

/** Snapshots and hashes for many clients at once. Each snapshot has this many chunks. */
export function maintenanceCases(chunkCount: number): void {
  let server: ApiServer;
  let client: TestClient;
  const exports = { open: 0, most: 0, made: 0 };

  /** Counts how many exports are open at a time. */
  function exportNothing(): Promise<ResumableExport> {
    exports.made += 1;
    exports.open += 1;
    exports.most = Math.max(exports.most, exports.open);
    let isOpen = true;
    const close = (): Promise<void> => {
      if (isOpen) exports.open -= 1;
      isOpen = false;
      return Promise.resolve();
    };
    async function* chunks(): AsyncGenerator<Buffer, void> {
      try {
        for (let n = 0; n < chunkCount; n += 1) yield await Promise.resolve(Buffer.alloc(CHUNK_BYTES));
      } finally {
        await close();
      }
    }
    return Promise.resolve({
      totalBytes: chunkCount * CHUNK_BYTES,
      index: 1,
      term: 1,
      confState: ConfState.create(),
      storageVersion: '3.7.0',
      sha256: Buffer.alloc(32),
      isOpen: true,
      read: () => Promise.resolve(undefined),
      chunks,
      close,
      from: chunks,
    });
  }

  beforeAll(async () => {
    const flags = ['--keystead-max-snapshot-streams', '3', '--keystead-max-hashes', '2'];
    server = await ApiServer.start({
      flags: [...flags, '--keystead-max-held-bytes', `${2 ** 28}`],
      register: (context) => {
        const logger = { debug: noLog, info: noLog, warn: noLog, error: noLog };
        registerMaintenance(context, {
          exportSnapshot: exportNothing,
          logger,
          health: { setServing: () => undefined },
          serverVersion: '3.7.0',
          downgrades: { handle: () => Promise.reject(new Error('not asked')) } as never,
        });
      },
    });
    client = new TestClient(`127.0.0.1:${server.port}`);
  });

  afterAll(async () => {
    client.close();
    await server.stop();
  });

  it('slow clients keep only a few snapshot exports open, and other clients get their turn', async () => {
    const streams = Array.from({ length: 16 }, () => client.serverStream(Maintenance.methods.snapshot.path));
    for (const stream of streams) stream.pause().on('error', () => undefined);
    await expect.poll(() => exports.open).toBe(3);
    // Two waiting clients and the one that is served disconnect.
    for (const gone of [0, 14, 15]) streams[gone]!.cancel();
    const ended = await Promise.all(streams.slice(1, 14).map((stream) => collect(stream.resume())));
    for (const { code, messages } of ended) {
      expect(code).toBe(0);
      expect(messages).toHaveLength((chunkCount * CHUNK_BYTES) / (32 * 1024) + 1);
    }
    await expect.poll(() => exports.open).toBe(0);
    expect(exports).toEqual({ open: 0, most: 3, made: 14 });
  });

  it('hash requests wait in a queue', async () => {
    const { member } = server;
    let running = 0;
    let most = 0;
    const make = member.hashRows;
    Object.assign(member, {
      hashRows: async (...args: Parameters<typeof make>) => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 5));
        try {
          return await make(...args);
        } finally {
          running -= 1;
        }
      },
    });
    const request = HashKVRequest.encode({ revision: 0 });
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => client.unary(Maintenance.methods.hashKv.path, request)),
    );
    const hashes = answers.map(({ message }) => HashKVResponse.decode(message!).hash);
    expect(new Set(hashes).size).toBe(1);
    expect(most).toBe(2);
  });
}
