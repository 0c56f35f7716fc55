import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import type { Server as NetServer } from 'node:net';
import { AuditLog } from '../api/audit/audit-log.ts';
import type { Logins } from '../api/auth/logins.ts';
import { Gateway } from '../api/gateway/gateway.ts';
import { createClientHttpHandler, createMetricsHttpHandler, type HttpHandler } from '../api/http/handler.ts';
import { serveUpgrades } from '../api/http/upgrades.ts';
import type { Leases } from '../server/leases.ts';
import { healthSource, versionSource } from '../api/member-views.ts';
import { ServiceContext } from '../api/service-context.ts';
import { RequestStats } from '../api/request-stats.ts';
import { registerServices } from '../api/services.ts';
import type { Config } from '../config/config.ts';
import type { EndpointUrl } from '../config/urls.ts';
import { GrpcServer } from '../grpc/server.ts';
import type { Logging } from '../logging/logging.ts';
import { EventLoopDelay } from '../metrics/event-loop.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { Registry } from '../metrics/registry.ts';
import type { ExportSnapshot } from '../ports/snapshot.ts';
import type { Downgrades } from '../server/downgrades.ts';
import type { Member } from '../server/member.ts';
import type { Memberships } from '../server/memberships.ts';
import type { TlsEndpoint } from '../tls/tls-endpoint.ts';
import type { AuditLines } from './audit.ts';
import { maxConnections } from './max-connections.ts';
import { maxHeldBytes } from './max-held-bytes.ts';
import { listenAddress } from './listen-address.ts';
import { ETCD_VERSION } from './version.ts';

/** As etcd: a gRPC message may be larger than `--max-request-bytes` by this amount. */
const GRPC_OVERHEAD_BYTES = 512 * 1024;
/** Time for calls in progress when the server stops. */
const DRAIN_MS = 1_000;
const HEADERS_TIMEOUT_MS = 10_000;

export interface ClientServersOptions {
  readonly member: Member;
  readonly metrics: Metrics;
  readonly logins: Logins;
  readonly leases: Leases;
  readonly memberships: Memberships;
  readonly downgrades: Downgrades;
  readonly exportSnapshot: ExportSnapshot;
  readonly randomInt: (bound: number) => number;
  readonly audit: AuditLines | undefined;
  /** Undefined if no certificates are configured. */
  readonly tls: TlsEndpoint | undefined;
}

/** The servers for clients: gRPC and HTTP on the client URLs, metrics and health on the metrics URLs. */
export class ClientServers {
  readonly #config: Config;
  readonly #logging: Logging;
  readonly #grpc: GrpcServer;
  readonly #http: HttpServer;
  readonly #tls: TlsEndpoint | undefined;
  readonly #metricsHandler: ReturnType<typeof createMetricsHttpHandler>;
  readonly #metricsServers: HttpServer[] = [];
  readonly #metricsListeners: NetServer[] = [];
  readonly #stopServices: () => void;
  #gateway: Gateway | undefined;

  constructor(config: Config, logging: Logging, served: ClientServersOptions) {
    const { member, metrics } = served;
    this.#config = config;
    this.#logging = logging;
    this.#tls = served.tls;
    // The request of a stream lasts as long as the stream. So only the headers have a timeout.
    this.#http = createHttpServer({ headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: 0 });
    // This server gets its connections from others and never listens. Node.js checks for late headers only after this
    // event.
    this.#http.emit('listening');
    const maxReceiveBytes = config.maxRequestBytes + GRPC_OVERHEAD_BYTES;
    const audit =
      served.audit &&
      new AuditLog({
        level: served.audit.level,
        write: (line) => served.audit?.file.write(line),
        wallMs: () => Date.now(),
        isAuthEnabled: () => member.auth.isEnabled,
      });
    const grpc = new GrpcServer({
      watcher: audit,
      slowCalls: new RequestStats(logging.for('api/request-stats.ts'), {
        warnAfterMs: config.warningUnaryRequestDurationMs,
        isDebug: config.log.level === 'debug',
      }),
      maxReceiveBytes,
      ...maxConnections(config),
      maxHeldBytes: maxHeldBytes(config),
      limits: { maxConcurrentStreams: config.maxConcurrentStreams },
      keepalive: {
        minTimeMs: config.grpcKeepaliveMinTimeMs,
        ...(config.grpcKeepaliveIntervalMs > 0 ? { intervalMs: config.grpcKeepaliveIntervalMs } : {}),
        timeoutMs: config.grpcKeepaliveTimeoutMs,
      },
      http1: this.#http,
      logger: logging.for('grpc/server.ts'),
    });
    this.#grpc = grpc;
    metrics.methods = () => grpc.methodStats();
    const identify = served.logins.connect(member);
    const context = new ServiceContext(grpc, member, audit?.noting(identify) ?? identify);
    this.#stopServices = registerServices(context, {
      ...served,
      logger: (caller) => logging.for(caller),
      serverVersion: ETCD_VERSION,
    });
    metrics.beforeScrape(() => {
      metrics.network.clientReceivedBytes = grpc.counters.messageBytesReceived;
      metrics.network.clientSentBytes = grpc.counters.messageBytesSent;
      for (const { type, version, count } of grpc.clientVersions.entries())
        metrics.server.clientRequests.set([type, version], count);
    });
    if (config.metricsLevel === 'extensive')
      for (const stats of grpc.methodStats())
        stats.durations = metrics.callDurations.with(stats.method, stats.service, stats.type);
    member.onTurn(() => grpc.flushAll());
    this.#metricsHandler = this.#serveHttp(member, metrics, maxReceiveBytes);
  }

  async listen(): Promise<void> {
    const config = this.#config;
    const logger = this.#logging.for('cli/client-servers.ts');
    const splitHttp = config.listenClientHttpUrls.length > 0;
    for (const url of config.listenClientUrls) {
      const twin = this.#twinOf(url);
      // An address that is given with both http and https has one listener, opened for the https URL.
      if (twin === undefined || url.secure) {
        const plainToo = twin !== undefined;
        await this.#grpc.listen({
          ...this.#listenOptions(url),
          plainToo,
          protocols: splitHttp ? 'grpc' : 'both',
        });
      }
      const message = url.secure
        ? 'serving client traffic securely'
        : 'serving client traffic insecurely; this is strongly discouraged!';
      logger.info(message, {
        traffic: splitHttp ? 'grpc' : 'grpc+http',
        address: url.text.replace(/^[a-z]+:\/\//, ''),
      });
    }
    for (const url of config.listenClientHttpUrls)
      await this.#grpc.listen({ ...this.#listenOptions(url), protocols: 'http1' });
    for (const url of config.listenMetricsUrls) {
      await this.#listenMetrics(url);
      logger.info('serving metrics', { address: url.text });
    }
  }

  async stop(): Promise<void> {
    this.#stopServices();
    const servers = [this.#http, ...this.#metricsServers];
    for (const server of [this.#http, ...this.#metricsListeners]) server.close();
    this.#gateway?.close();
    await this.#grpc.shutdown(DRAIN_MS);
    for (const server of servers) server.closeAllConnections();
  }

  #serveHttp(
    member: Member,
    metrics: Metrics,
    maxReceiveBytes: number,
  ): ReturnType<typeof createMetricsHttpHandler> {
    const config = this.#config;
    const logger = this.#logging.for('api/http/handler.ts');
    const registry = new Registry({
      metrics,
      versions: { server: ETCD_VERSION, runtime: `node${process.versions.node}` },
      eventLoop: new EventLoopDelay(),
      extensive: config.metricsLevel === 'extensive',
    });
    const shared = { health: healthSource(member), metrics, registry, logger };
    this.#http.on(
      'request',
      createClientHttpHandler({
        ...shared,
        corsOrigins: config.corsOrigins,
        hostWhitelist: config.hostWhitelist,
        versions: versionSource(member),
        serverVersion: ETCD_VERSION,
        commandLine: ['keystead', ...process.argv.slice(2)],
        raftStatus: () => raftStatus(member),
        enablePprof: config.enablePprof,
        gateway: this.#openGateway(member, maxReceiveBytes),
      }),
    );
    return createMetricsHttpHandler(shared);
  }

  #openGateway(member: Member, maxReceiveBytes: number): HttpHandler | undefined {
    const config = this.#config;
    if (!config.enableGrpcGateway) return undefined;
    const gateway = new Gateway({
      server: this.#grpc,
      maxReceiveBytes,
      certificatesNameUsers: () => config.clientTls.clientCertAuth && member.auth.isEnabled,
    });
    this.#gateway = gateway;
    serveUpgrades(this.#http, gateway, config);
    return (request, response) => gateway.handle(request, response);
  }

  /** Returns the URL with the same address and the other scheme, if there is one. */
  #twinOf(url: EndpointUrl): EndpointUrl | undefined {
    if (this.#tls === undefined || url.socketPath !== undefined) return undefined;
    return this.#config.listenClientUrls.find(
      ({ secure, host, port }) => secure !== url.secure && host === url.host && port === url.port,
    );
  }

  #listenOptions(url: EndpointUrl): Parameters<GrpcServer['listen']>[0] {
    const tls = this.#tls;
    if (!url.secure || tls === undefined) return listenAddress(url);
    return { ...listenAddress(url), tls: tls.options, guard: tls };
  }

  async #listenMetrics(url: EndpointUrl): Promise<void> {
    const http = createHttpServer(this.#metricsHandler);
    this.#metricsServers.push(http);
    const server =
      url.secure && this.#tls !== undefined
        ? this.#tls.createServer((socket) => http.emit('connection', socket))
        : http;
    this.#metricsListeners.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(listenAddress(url), () => {
        server.off('error', reject);
        resolve();
      });
    });
  }
}

/** The same fields as etcd's `raft.status`. */
function raftStatus(member: Member): unknown {
  const { id, hardState, softState, applied, leadTransferee } = member.consensus.status();
  return {
    id: id.toString(16),
    term: hardState.term,
    vote: hardState.vote.toString(16),
    commit: hardState.commit,
    lead: softState.lead.toString(16),
    raftState: softState.role,
    applied,
    leadtransferee: leadTransferee.toString(16),
  };
}
