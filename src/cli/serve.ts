import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { randomInt } from 'node:crypto';
import { createClientHttpHandler, createMetricsHttpHandler } from '../api/http/handler.ts';
import { healthSource, versionSource } from '../api/member-views.ts';
import { registerServices } from '../api/services.ts';
import { ServiceContext } from '../api/service-context.ts';
import { SimpleTokens } from '../auth/simple-tokens.ts';
import type { Config } from '../config/config.ts';
import { bootstrapFault } from '../config/initial-cluster.ts';
import type { EndpointUrl } from '../config/urls.ts';
import { GrpcServer } from '../grpc/server.ts';
import type { Logging } from '../logging/logging.ts';
import { EventLoopDelay } from '../metrics/event-loop.ts';
import { Metrics } from '../metrics/metrics.ts';
import { Registry } from '../metrics/registry.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { decodeIdentity, encodeIdentity, type Founding, foundCluster } from '../server/identity.ts';
import { Member } from '../server/member.ts';
import { observeMember } from '../server/member-metrics.ts';
import { DataDirectoryError } from '../storage/data-dir.ts';
import { openStorage, type Storage } from '../storage/open-storage.ts';
import { CorruptLogError } from '../storage/wal/corrupt-log-error.ts';
import { notifyInit } from './notify-init.ts';
import { timers } from './timers.ts';
import { etcdVersion } from './version.ts';

/** etcd's allowance over `--max-request-bytes` for what surrounds a request. */
const GRPC_OVERHEAD_BYTES = 512 * 1024;
/** Time that calls under way have when the server is asked to stop. */
const DRAIN_MS = 1_000;
/** As etcd's: how long clients wait for the cluster at a start. */
const CLUSTER_READY_MS = 5_000;

const clock: Clock = {
  now: () => performance.now(),
  wall: () => performance.timeOrigin + performance.now(),
};

/** The configuration cannot be served; the message says why. */
class StartError extends Error {
  override readonly name = 'StartError';
}

/** Runs one member until it is asked to stop. Returns the exit code. */
export async function serve(config: Config, logging: Logging): Promise<number> {
  const logger = logging.for('cli/serve.ts');
  endOnFaults(logging);
  try {
    const server = await RunningServer.start(config, logging);
    await new Promise<void>((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) {
        process.once(signal, () => {
          logger.info('received signal; shutting down', {
            signal: signal === 'SIGTERM' ? 'terminated' : 'interrupt',
          });
          resolve();
        });
      }
    });
    await server.stop();
    logger.info('closed etcd server', { name: config.name, 'data-dir': config.dataDir });
    return 0;
  } catch (error) {
    if (!isStartFault(error)) throw error;
    logging.write('fatal', 'cli/serve.ts', 'failed to start', { error: error.message });
    return 1;
  }
}

function isStartFault(error: unknown): error is Error {
  if (error instanceof StartError || error instanceof DataDirectoryError || error instanceof CorruptLogError)
    return true;
  // Addresses that cannot be listened on.
  return error instanceof Error && 'syscall' in error && error.syscall === 'listen';
}

/** Whatever nobody foresaw ends the process: running on could corrupt data. */
function endOnFaults(logging: Logging): void {
  const end = (kind: string) => (error: unknown) => {
    const stack = error instanceof Error ? error.stack : String(error);
    logging.write('fatal', 'cli/serve.ts', kind, {
      error: error instanceof Error ? error.message : String(error),
      stack,
    });
    process.exit(2);
  };
  process.on('uncaughtException', end('uncaught fault'));
  process.on('unhandledRejection', end('unhandled rejection'));
}

class RunningServer {
  readonly #grpc: GrpcServer;
  readonly #http: HttpServer;
  readonly #metricsServers: readonly HttpServer[];
  readonly #member: Member;
  readonly #storage: Storage;

  private constructor(parts: {
    grpc: GrpcServer;
    http: HttpServer;
    metricsServers: readonly HttpServer[];
    member: Member;
    storage: Storage;
  }) {
    this.#grpc = parts.grpc;
    this.#http = parts.http;
    this.#metricsServers = parts.metricsServers;
    this.#member = parts.member;
    this.#storage = parts.storage;
  }

  static async start(config: Config, logging: Logging): Promise<RunningServer> {
    const logger = logging.for('cli/serve.ts');
    const metrics = new Metrics();
    let founding: Founding | undefined;
    const storage = await openStorage({
      dataDirectory: config.dataDir,
      walDirectory: config.walDir,
      newMetadata: () => {
        founding = found(config);
        return encodeIdentity(founding);
      },
      onFailure: (error) => {
        logging.write('fatal', 'cli/serve.ts', 'the log cannot be written', { error: error.message });
        process.exit(1);
      },
      onSync: (durationMs, bytes) => {
        metrics.disk.walFsync.observe(durationMs / 1000);
        metrics.disk.walWriteBytes += bytes;
      },
    });
    const identity = founding ?? decodeIdentity(storage.contents.metadata);
    const { repaired } = storage.contents;
    if (repaired !== undefined) logger.warn('repaired the end of the log', { ...repaired });
    const tokens = new SimpleTokens(clock, config.authTokenTtlSeconds * 1000);
    const member = new Member({
      config,
      storage,
      identity,
      founders: founding?.members ?? [],
      clock,
      scheduler: timers,
      randomInt: (bound) => randomInt(bound),
      logger: (caller) => logging.for(caller),
      metrics,
      tokens,
      send: () => undefined,
    });
    observeMember(member, metrics);
    const grpcAndHttp = makeServers(config, logging, { member, metrics });
    member.start();
    await clusterReady(member, logger);
    await listen(config, logger, grpcAndHttp);
    const { grpc, http, metricsServers } = grpcAndHttp;
    logger.info('ready to serve client requests');
    notifyInit(process.env, logger);
    return new RunningServer({ grpc, http, metricsServers, member, storage });
  }

  async stop(): Promise<void> {
    this.#http.close();
    for (const server of this.#metricsServers) server.close();
    await this.#grpc.shutdown(DRAIN_MS);
    this.#member.stop();
    this.#http.closeAllConnections();
    for (const server of this.#metricsServers) server.closeAllConnections();
    await this.#storage.close();
  }
}

/** Clients are let in once there is a leader, or after a while without one. */
function clusterReady(member: Member, logger: Logger): Promise<void> {
  return new Promise((resolve) => {
    const cancel = timers.after(CLUSTER_READY_MS, () => {
      stop();
      logger.warn('timed out waiting for the ready notification');
      resolve();
    });
    const stop = member.onLeadership(() => {
      if (!member.isServing) return;
      stop();
      cancel();
      resolve();
    });
  });
}

function found(config: Config): Founding {
  const fault = bootstrapFault(config);
  if (fault !== undefined) throw new StartError(fault);
  return foundCluster(config.name, config.initialCluster, config.initialClusterToken);
}

interface Servers {
  readonly grpc: GrpcServer;
  readonly http: HttpServer;
  readonly metricsServers: HttpServer[];
  readonly metricsHandler: ReturnType<typeof createMetricsHttpHandler>;
}

interface Served {
  readonly member: Member;
  readonly metrics: Metrics;
}

function makeServers(config: Config, logging: Logging, { member, metrics }: Served): Servers {
  const logger = logging.for('api/http/handler.ts');
  const registry = new Registry({
    metrics,
    versions: { server: etcdVersion, runtime: `node${process.versions.node}` },
    eventLoop: new EventLoopDelay(),
    extensive: config.metricsLevel === 'extensive',
  });
  const health = healthSource(member);
  const http = createHttpServer({ headersTimeout: 10_000, requestTimeout: 60_000 });
  const grpc = new GrpcServer({
    maxReceiveBytes: config.maxRequestBytes + GRPC_OVERHEAD_BYTES,
    limits: { maxConcurrentStreams: config.maxConcurrentStreams },
    keepalive: {
      minTimeMs: config.grpcKeepaliveMinTimeMs,
      ...(config.grpcKeepaliveIntervalMs > 0 ? { intervalMs: config.grpcKeepaliveIntervalMs } : {}),
      timeoutMs: config.grpcKeepaliveTimeoutMs,
    },
    http1: http,
    logger: logging.for('grpc/server.ts'),
  });
  metrics.methods = () => grpc.methodStats();
  http.on(
    'request',
    createClientHttpHandler({
      health,
      metrics,
      registry,
      logger,
      corsOrigins: config.corsOrigins,
      hostWhitelist: config.hostWhitelist,
      versions: versionSource(member),
      serverVersion: etcdVersion,
      commandLine: ['keystead', ...process.argv.slice(2)],
      raftStatus: () => undefined,
      enablePprof: config.enablePprof,
      gateway: undefined,
    }),
  );
  const context = new ServiceContext(grpc, member, () => undefined);
  registerServices(context, (bound) => randomInt(bound));
  member.onTurn(() => grpc.flushAll());
  return {
    grpc,
    http,
    metricsServers: [],
    metricsHandler: createMetricsHttpHandler({ health, metrics, registry, logger }),
  };
}

async function listen(config: Config, logger: Logger, servers: Servers): Promise<void> {
  const { grpc } = servers;
  const splitHttp = config.listenClientHttpUrls.length > 0;
  for (const url of config.listenClientUrls) {
    await grpc.listen({ ...place(url), protocols: splitHttp ? 'grpc' : 'both' });
    logger.info('serving client traffic insecurely; this is strongly discouraged!', {
      traffic: splitHttp ? 'grpc' : 'grpc+http',
      address: url.text.replace(/^[a-z]+:\/\//, ''),
    });
  }
  for (const url of config.listenClientHttpUrls) await grpc.listen({ ...place(url), protocols: 'http1' });
  for (const url of config.listenMetricsUrls) {
    const server = createHttpServer(servers.metricsHandler);
    await listenHttp(server, place(url));
    servers.metricsServers.push(server);
    logger.info('serving metrics', { address: url.text });
  }
}

function place(url: EndpointUrl): { host: string; port: number } | { path: string } {
  if (url.socketPath !== undefined) return { path: url.socketPath };
  // Go listens on the IPv4 loopback for this name.
  const host = url.host === 'localhost' ? '127.0.0.1' : url.host;
  return { host, port: Number(url.port) };
}

function listenHttp(
  server: HttpServer,
  where: { host: string; port: number } | { path: string },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
