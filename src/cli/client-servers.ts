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
import type { MemberReadsOptions } from '../api/thread-reads.ts';
import { RequestStats } from '../api/request-stats.ts';
import { registerServices } from '../api/services.ts';
import type { Config } from '../config/config.ts';
import type { EndpointUrl } from '../config/urls.ts';
import type { CallTracer } from '../grpc/call-trace.ts';
import { GrpcServer } from '../grpc/server.ts';
import type { Logging } from '../logging/logging.ts';
import type { EventLoopDelay } from '../metrics/event-loop.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { Registry } from '../metrics/registry.ts';
import type { ExportSnapshot } from '../ports/snapshot.ts';
import type { SharedStore } from '../ports/store-view.ts';
import type { Downgrades } from '../server/downgrades.ts';
import type { Member } from '../server/member.ts';
import type { Memberships } from '../server/memberships.ts';
import { SLOW_MS } from '../server/slow-requests.ts';
import type { StatusPage } from '../status/status-page.ts';
import type { TlsEndpoint } from '../tls/tls-endpoint.ts';
import type { AuditLines } from './audit.ts';
import { clientAddresses, grpcLimits } from './client-options.ts';
import { listenAddress } from './listen-address.ts';
import type { ServingThreads } from './serving-threads.ts';
import { ETCD_VERSION } from './version.ts';

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
  readonly store: SharedStore;
  readonly randomInt: (bound: number) => number;
  readonly audit: AuditLines | undefined;
  /** Undefined if tracing is off. */
  readonly tracing: CallTracer | undefined;
  readonly eventLoop: EventLoopDelay;
  /** Undefined if there is none. */
  readonly statusPage: StatusPage | undefined;
  /** Undefined if no certificates are configured. */
  readonly tls: TlsEndpoint | undefined;
}

/**
 * The servers for clients: gRPC and HTTP on the client URLs, metrics and health on the metrics URLs, and the status page
 * on its URLs.
 */
export class ClientServers {
  readonly #config: Config;
  readonly #logging: Logging;
  readonly #grpc: GrpcServer;
  readonly #http: HttpServer;
  readonly #tls: TlsEndpoint | undefined;
  readonly #metricsHandler: ReturnType<typeof createMetricsHttpHandler>;
  readonly #statusPage: StatusPage | undefined;
  /** Of metrics and of the status page. */
  readonly #httpServers: HttpServer[] = [];
  readonly #httpListeners: NetServer[] = [];
  readonly #stopServices: () => void;
  /** Set if serving threads have the connections. */
  readonly #heldBytes: Float64Array | undefined;
  /** Undefined if serving threads do not read the store. */
  readonly #readsOfThreads: MemberReadsOptions | undefined;
  #threads: ServingThreads | undefined;
  #gateway: Gateway | undefined;

  constructor(config: Config, logging: Logging, served: ClientServersOptions) {
    const { member, metrics, statusPage } = served;
    this.#statusPage = statusPage;
    this.#config = config;
    this.#logging = logging;
    this.#tls = served.tls;
    // The request of a stream lasts as long as the stream. So only the headers have a timeout.
    this.#http = createHttpServer({ headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: 0 });
    // This server gets its connections from others and never listens. Node.js checks for late headers only after this
    // event.
    this.#http.emit('listening');
    const limits = grpcLimits(config);
    const heldBytes = config.servingThreads > 0 ? sharedHeldBytes(config.servingThreads) : undefined;
    this.#heldBytes = heldBytes;
    const audit =
      served.audit &&
      new AuditLog({
        level: served.audit.level,
        write: (line) => served.audit?.file.write(line),
        wallMs: () => Date.now(),
        isAuthEnabled: () => member.auth.isEnabled,
      });
    const requestStats = new RequestStats(logging.for('api/request-stats.ts'), {
      warnAfterMs: config.warningUnaryRequestDurationMs,
      isDebug: config.log.level === 'debug',
    });
    const slowCalls = statusPage?.watching(requestStats) ?? requestStats;
    const grpc = new GrpcServer({
      watcher: audit,
      tracer: served.tracing,
      slowCalls,
      ...limits,
      sharedHeldBytes: heldBytes && { cells: heldBytes, thread: 0 },
      http1: this.#http,
      logger: logging.for('grpc/server.ts'),
    });
    this.#grpc = grpc;
    // What sees each call with its request and response is in this thread, so the calls must be here as well.
    const seesAllCalls =
      audit !== undefined ||
      served.tracing !== undefined ||
      statusPage !== undefined ||
      config.metricsLevel === 'extensive' ||
      config.log.level === 'debug';
    this.#readsOfThreads = seesAllCalls
      ? undefined
      : { member, server: grpc, store: served.store, slowCalls };
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
    member.onTurn(() => {
      grpc.flushAll();
      this.#threads?.flush();
    });
    this.#metricsHandler = this.#serveHttp(served, limits.maxReceiveBytes);
  }

  async listen(): Promise<void> {
    const config = this.#config;
    const logger = this.#logging.for('cli/client-servers.ts');
    const splitHttp = config.listenClientHttpUrls.length > 0;
    if (this.#heldBytes === undefined)
      for (const address of clientAddresses(config, this.#tls)) await this.#grpc.listen(address);
    else await this.#listenInThreads(this.#heldBytes, this.#readsOfThreads);
    for (const url of config.listenClientUrls) {
      const message = url.secure
        ? 'serving client traffic securely'
        : 'serving client traffic insecurely; this is strongly discouraged!';
      logger.info(message, {
        traffic: splitHttp ? 'grpc' : 'grpc+http',
        address: url.text.replace(/^[a-z]+:\/\//, ''),
      });
    }
    for (const url of config.listenMetricsUrls) {
      await this.#listenHttp(url, this.#metricsHandler);
      logger.info('serving metrics', { address: url.text });
    }
    if (this.#statusPage === undefined) return;
    for (const url of config.statusUrls) {
      await this.#listenHttp(url, this.#statusPage.handler);
      logger.info('serving the status page', { address: url.text });
    }
  }

  async stop(): Promise<void> {
    this.#stopServices();
    this.#statusPage?.stop();
    const servers = [this.#http, ...this.#httpServers];
    for (const server of [this.#http, ...this.#httpListeners]) server.close();
    this.#gateway?.close();
    await this.#threads?.stop(DRAIN_MS);
    await this.#grpc.shutdown(DRAIN_MS);
    for (const server of servers) server.closeAllConnections();
  }

  #serveHttp(
    { member, metrics, eventLoop }: ClientServersOptions,
    maxReceiveBytes: number,
  ): ReturnType<typeof createMetricsHttpHandler> {
    const config = this.#config;
    const logger = this.#logging.for('api/http/handler.ts');
    const registry = new Registry({
      metrics,
      versions: { server: ETCD_VERSION, runtime: `node${process.versions.node}` },
      eventLoop,
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

  /** The code of serving threads is evaluated only when there are some. */
  async #listenInThreads(heldBytes: Float64Array, reads: MemberReadsOptions | undefined): Promise<void> {
    const { ServingThreads: Threads } = await import('./serving-threads.ts');
    const { MemberReads } = await import('../api/thread-reads.ts');
    this.#threads = new Threads({
      config: this.#config,
      grpc: this.#grpc,
      http: this.#http,
      heldBytes,
      reads: reads && {
        core: new MemberReads(reads),
        slowMs: Math.min(SLOW_MS, reads.slowCalls.thresholdMs),
      },
      logging: this.#logging,
    });
    await this.#threads.listen();
  }

  /** Metrics and the status page have the certificates, and need those of clients, as the client URLs. */
  async #listenHttp(url: EndpointUrl, handler: HttpHandler): Promise<void> {
    const http = createHttpServer(handler);
    this.#httpServers.push(http);
    const server =
      url.secure && this.#tls !== undefined
        ? this.#tls.createServer((socket) => http.emit('connection', socket))
        : http;
    this.#httpListeners.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(listenAddress(url, this.#config), () => {
        server.off('error', reject);
        resolve();
      });
    });
  }
}

/** Memory in which this thread and so many serving threads count what they hold. */
function sharedHeldBytes(threads: number): Float64Array {
  return new Float64Array(new SharedArrayBuffer((threads + 1) * 2 * Float64Array.BYTES_PER_ELEMENT));
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
