import { createServer as createHttpServer, type RequestListener, type Server as HttpServer } from 'node:http';
import { createServer as createNetServer, type Server as NetServer } from 'node:net';
import type { Config } from '../config/config.ts';
import type { EndpointUrl } from '../config/urls.ts';
import type { GrpcServer } from '../grpc/server.ts';
import type { Logger } from '../ports/logger.ts';
import type { TlsSide } from '../tls/tls-side.ts';

export interface ClientListenersOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly grpc: GrpcServer;
  /** Serves the addresses of `--listen-metrics-urls`. */
  readonly metricsHandler: RequestListener;
  /** Undefined where no certificate is configured. */
  readonly tls: TlsSide | undefined;
}

/** What the addresses ask for and the configuration does not give; in etcd's words. */
export function clientUrlFault(config: Config, tls: TlsSide | undefined): string | undefined {
  if (tls !== undefined) return undefined;
  const files = 'TLS key/cert (--cert-file, --key-file) must be provided for';
  const url = [...config.listenClientUrls, ...config.listenClientHttpUrls].find(({ secure }) => secure);
  if (url !== undefined) return `${files} client url ${url.text} with HTTPS scheme`;
  return config.listenMetricsUrls.some(({ secure }) => secure)
    ? `client ${files} metrics secure url`
    : undefined;
}

/** The addresses of metrics and health alone, while they are served. */
export class ClientListeners {
  readonly #servers: readonly NetServer[];
  readonly #http: HttpServer | undefined;

  private constructor(servers: readonly NetServer[], http: HttpServer | undefined) {
    this.#servers = servers;
    this.#http = http;
  }

  /** Listens on every client and metrics address. Rejects with the socket's error. */
  static async open(options: ClientListenersOptions): Promise<ClientListeners> {
    const { config, logger, grpc, metricsHandler, tls } = options;
    const splitHttp = config.listenClientHttpUrls.length > 0;
    const listen = async (url: EndpointUrl, protocols: 'both' | 'grpc' | 'http1'): Promise<void> => {
      const secure = url.secure && tls !== undefined ? { tls: tls.options, guard: tls } : {};
      await grpc.listen({ ...place(url), protocols, ...secure });
      const how = url.secure
        ? 'serving client traffic securely'
        : 'serving client traffic insecurely; this is strongly discouraged!';
      logger.info(how, { traffic: TRAFFIC[protocols], address: url.text.replace(/^[a-z]+:\/\//, '') });
    };
    for (const url of config.listenClientUrls) await listen(url, splitHttp ? 'grpc' : 'both');
    for (const url of config.listenClientHttpUrls) await listen(url, 'http1');
    if (config.listenMetricsUrls.length === 0) return new ClientListeners([], undefined);
    const http = createHttpServer(metricsHandler);
    const servers: NetServer[] = [];
    for (const url of config.listenMetricsUrls) {
      const server = metricsServer(http, url, tls);
      await listenOn(server, url);
      servers.push(server);
      logger.info('serving metrics', { address: url.text });
    }
    return new ClientListeners(servers, http);
  }

  close(): void {
    for (const server of this.#servers) server.close();
    this.#http?.closeAllConnections();
  }
}

const TRAFFIC = { both: 'grpc+http', grpc: 'grpc', http1: 'http' } as const;

/** One HTTP server behind all addresses; each has a socket server of its own. */
function metricsServer(http: HttpServer, url: EndpointUrl, tls: TlsSide | undefined): NetServer {
  const serve = (socket: object): boolean => http.emit('connection', socket);
  return url.secure && tls !== undefined ? tls.createServer(serve) : createNetServer(serve);
}

function place(url: EndpointUrl): { host: string; port: number } | { path: string } {
  if (url.socketPath !== undefined) return { path: url.socketPath };
  // Go listens on the IPv4 loopback for this name.
  const host = url.host === 'localhost' ? '127.0.0.1' : url.host;
  return { host, port: Number(url.port) };
}

function listenOn(server: NetServer, url: EndpointUrl): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(place(url), () => {
      server.off('error', reject);
      resolve();
    });
  });
}
