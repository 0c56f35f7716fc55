/** Worker thread: serves the connections of clients. The calls are answered by the main thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { clientAddresses, grpcLimits } from '../cli/client-options.ts';
import type { Config } from '../config/config.ts';
import type { ListenAddress } from '../grpc/listeners.ts';
import { GrpcServer } from '../grpc/server.ts';
import { defined } from '../lib/assert.ts';
import { PointReads } from '../mvcc/point-reads.ts';
import type { Logger } from '../ports/logger.ts';
import type { PointReader } from '../ports/point-reads.ts';
import { ServingThread } from '../serving/serving-thread.ts';
import type { ServingThreadData } from '../serving/thread-data.ts';
import { RocksReader } from '../storage/rocks-reader.ts';
import { forwardingLogger } from '../threads/forwarded-log.ts';
import { nameThread } from '../threads/name-thread.ts';
import { openClientTls } from '../tls/open-tls.ts';

nameThread('serving');
const { config, methods, ...place } = workerData as ServingThreadData<Config>;
const port = defined(parentPort, 'the serving worker runs as a worker thread');

const thread = new ServingThread({
  port,
  methods,
  createServer: (http1) =>
    new GrpcServer({
      ...grpcLimits(config),
      http1,
      sharedHeldBytes: { cells: place.heldBytes, thread: place.thread + 1 },
      sharedConnections: place.connections,
      logger: loggerOf('grpc/server.ts'),
    }),
  reads:
    place.slowReadMs === undefined
      ? undefined
      : { openStore, slowMs: place.slowReadMs, now: () => performance.now() },
  addresses,
});

function openStore(handle: bigint): PointReader {
  const rows = RocksReader.attach(handle);
  const reads = new PointReads(rows);
  return {
    read: (keys, maxBytes) => reads.read(keys, maxBytes),
    close: () => rows.detach(),
  };
}

/** The main thread has opened TLS before, and logged its warnings. */
async function addresses(): Promise<readonly ListenAddress[]> {
  let isOpen = false;
  const warned = loggerOf('tls/tls-endpoint.ts');
  const logger: Logger = { ...warned, warn: (message, fields) => isOpen && warned.warn(message, fields) };
  const tls = await openClientTls({ config, logger });
  isOpen = true;
  const all = clientAddresses(config, tls);
  const reusePort = place.threads > 1 ? { reusePort: true as const } : {};
  const ports = all.filter(({ path }) => path === undefined).map((address) => ({ ...address, ...reusePort }));
  // A unix socket has one listener.
  return place.thread === 0 ? [...ports, ...all.filter(({ path }) => path !== undefined)] : ports;
}

function loggerOf(caller: string): Logger {
  return forwardingLogger(caller, (line) => thread.control(line));
}
