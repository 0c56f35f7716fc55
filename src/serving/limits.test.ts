import { afterEach, expect, it } from 'vitest';
import { GrpcServer } from '../grpc/server.ts';
import { TestClient } from '../grpc/test-client.ts';
import type { LinkPort } from './link.ts';
import { ServingThread } from './serving-thread.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

const MIB = 1024 * 1024;

it('a client whose requests the core does not read in time is disconnected at the limit', async () => {
  let postedBytes = 0;
  const core: LinkPort = {
    postMessage: (message: unknown) => {
      if (message instanceof ArrayBuffer) postedBytes += message.byteLength;
    },
    on: () => undefined,
  };
  let front: GrpcServer | undefined;
  new ServingThread({
    port: core,
    methods: [{ path: '/test.Test/Echo', clientStreaming: false, serverStreaming: false }],
    createServer: (http1) => {
      front = new GrpcServer({ maxReceiveBytes: 2 * MIB, maxHeldBytes: 8 * MIB, http1 });
      return front;
    },
    addresses: () => Promise.resolve([]),
  });
  const port = await front!.listen({ host: '127.0.0.1', port: 0 });
  cleanups.push(() => front?.close());
  const client = new TestClient(`127.0.0.1:${port}`);
  cleanups.push(() => client.close());
  // Each is complete at once, so nothing is held of incomplete requests.
  const deadline = Date.now() + 10_000;
  const calls = Array.from({ length: 4000 }, () =>
    client.unary('/test.Test/Echo', Buffer.alloc(8_000), { deadline }),
  );
  for (const { code } of await Promise.all(calls)) expect(code).not.toBe(0);
  await expect.poll(() => front?.connectionCount).toBe(0);
  // Without the limit, all 32 MB would be on their way.
  expect(postedBytes).toBeLessThan(16 * MIB);
});
