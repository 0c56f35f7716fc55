import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { EXPOSITION_TYPE } from '../../metrics/exposition.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import type { Registry } from '../../metrics/registry.ts';
import type { Logger } from '../../ports/logger.ts';
import { addCorsHeaders, refusedHost, refusedHostText, type AccessRules } from './access.ts';
import { resolvePath } from './clean-path.ts';
import { debugVars } from './debug-vars.ts';
import { probeChecks, serveHealth, serveProbe } from './health.ts';
import type { HealthSource, VersionSource } from './health-source.ts';
import {
  allowsGet,
  reply,
  replyBadRequest,
  replyChunked,
  replyError,
  replyNotFound,
  replyRedirect,
  requestUrl,
} from './reply.ts';

export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => void;

export interface MetricsHttpOptions {
  readonly health: HealthSource;
  readonly metrics: Metrics;
  readonly registry: Registry;
  readonly logger: Logger;
}

export interface ClientHttpOptions extends MetricsHttpOptions, AccessRules {
  readonly versions: VersionSource;
  /** The etcd release that this server reports. */
  readonly serverVersion: string;
  /** Shown by `/debug/vars`. */
  readonly commandLine: readonly string[];
  readonly raftStatus: () => unknown;
  readonly enablePprof: boolean;
  /** Serves requests under /v3/; undefined when the gateway is off. */
  readonly gateway: HttpHandler | undefined;
}

/** The HTTP/1.1 handler of the client addresses. */
export function createClientHttpHandler(options: ClientHttpOptions): HttpHandler {
  return (request, response) => {
    const refused = refusedHost(request, options);
    if (refused !== undefined) {
      options.logger.warn('rejecting HTTP request to prevent DNS rebinding attacks', { host: refused });
      replyError(response, 421, refusedHostText(refused));
      return;
    }
    addCorsHeaders(request, response, options);
    if (request.method === 'OPTIONS') reply(response, 200, [], '');
    else run(response, options.logger, serveClient(request, response, options));
  };
}

/** The HTTP/1.1 handler of the additional addresses that serve only metrics and health. */
export function createMetricsHttpHandler(options: MetricsHttpOptions): HttpHandler {
  return (request, response) => {
    run(response, options.logger, serveMetricsAndHealth(request, response, options));
  };
}

/** Ends a response whose handler failed, so that the client does not hang. */
function run(response: ServerResponse, logger: Logger, work: Promise<void>): void {
  work.catch((error: unknown) => {
    logger.error('HTTP request failed', { error });
    if (response.headersSent) response.destroy();
    else replyError(response, 500, 'Internal Server Error');
  });
}

async function serveClient(
  request: IncomingMessage,
  response: ServerResponse,
  options: ClientHttpOptions,
): Promise<void> {
  const { path, query } = requestUrl(request);
  const resolved = resolvePath(path);
  if (resolved === undefined) return replyBadRequest(response);
  const { plain, clean } = resolved;
  if (plain !== clean) return replyRedirect(response, clean);
  if (options.gateway !== undefined) {
    // The gateway's path in old releases.
    const isOld = path.startsWith('/v3beta/');
    if (isOld || path.startsWith('/v3/')) {
      request.url = isOld ? plain.replace('/v3beta/', '/v3/') : plain;
      options.gateway(request, response);
      return;
    }
    if (plain === '/v3') return replyRedirect(response, '/v3/');
  }
  if (path.startsWith('/debug/pprof/') && options.enablePprof) {
    const { serveProfile } = await import('./profiles.ts');
    return serveProfile(path, query, response, options.commandLine);
  }
  switch (path) {
    case '/version':
      return serveVersion(request, response, options);
    case '/debug/vars':
      if (!allowsGet(request, response)) return;
      return replyChunked(
        response,
        [['Content-Type', 'application/json; charset=utf-8']],
        debugVars(options.commandLine, options.raftStatus()),
      );
    default:
      return serveMetricsAndHealth(request, response, options);
  }
}

function serveVersion(
  request: IncomingMessage,
  response: ServerResponse,
  { serverVersion, versions }: ClientHttpOptions,
): void {
  if (!allowsGet(request, response)) return;
  const body = JSON.stringify({
    etcdserver: serverVersion,
    etcdcluster: versions.clusterVersion() ?? 'not_decided',
    storage: versions.storageVersion() ?? 'unknown',
  });
  reply(response, 200, [['Content-Type', 'application/json']], body);
}

async function serveMetricsAndHealth(
  request: IncomingMessage,
  response: ServerResponse,
  options: MetricsHttpOptions,
): Promise<void> {
  const { path } = requestUrl(request);
  const { health: source, metrics, logger } = options;
  if (path === '/metrics') return serveMetrics(request, response, options);
  if (path === '/health') return serveHealth(request, response, { source, metrics, logger });
  const asked = probeChecks(path);
  if (asked === undefined) return replyNotFound(response);
  return serveProbe(request, response, asked, { source, metrics, logger });
}

function serveMetrics(request: IncomingMessage, response: ServerResponse, options: MetricsHttpOptions): void {
  const { scrapes } = options.metrics;
  scrapes.inFlight++;
  try {
    const text = options.registry.render();
    const type = ['Content-Type', EXPOSITION_TYPE] as const;
    if (/\bgzip\b/.test(request.headers['accept-encoding'] ?? '')) {
      replyChunked(response, [['Content-Encoding', 'gzip'], type], gzipSync(text));
    } else {
      replyChunked(response, [type], text);
    }
    scrapes.byCode.set('200', (scrapes.byCode.get('200') ?? 0) + 1);
  } finally {
    scrapes.inFlight--;
  }
}
