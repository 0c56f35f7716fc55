import type { Config } from '../config/config.ts';
import type { EndpointUrl } from '../config/urls.ts';
import type { ListenAddress } from '../grpc/listeners.ts';
import type { GrpcServerOptions } from '../grpc/server.ts';
import type { TlsEndpoint } from '../tls/tls-endpoint.ts';
import { listenAddress } from './listen-address.ts';
import { maxConnections } from './max-connections.ts';
import { maxHeldBytes } from './max-held-bytes.ts';

/** As etcd: a gRPC message may be larger than `--max-request-bytes` by this amount. */
const GRPC_OVERHEAD_BYTES = 512 * 1024;

/** The limits of the server for clients. They are the same in all threads. */
export function grpcLimits(config: Config): Omit<GrpcServerOptions, 'logger' | 'http1'> {
  return {
    maxReceiveBytes: config.maxRequestBytes + GRPC_OVERHEAD_BYTES,
    ...maxConnections(config),
    maxHeldBytes: maxHeldBytes(config),
    limits: { maxConcurrentStreams: config.maxConcurrentStreams },
    keepalive: {
      minTimeMs: config.grpcKeepaliveMinTimeMs,
      ...(config.grpcKeepaliveIntervalMs > 0 ? { intervalMs: config.grpcKeepaliveIntervalMs } : {}),
      timeoutMs: config.grpcKeepaliveTimeoutMs,
    },
  };
}

/**
 * The addresses of the client URLs. An address that is given with both http and https has one listener, opened for the
 * https URL.
 */
export function clientAddresses(config: Config, tls: TlsEndpoint | undefined): ListenAddress[] {
  const protocols = config.listenClientHttpUrls.length > 0 ? 'grpc' : 'both';
  const addresses: ListenAddress[] = [];
  for (const url of config.listenClientUrls) {
    const twin = twinOf(url, config, tls);
    if (twin !== undefined && !url.secure) continue;
    addresses.push({ ...optionsOf(url, config, tls), plainToo: twin !== undefined, protocols });
  }
  for (const url of config.listenClientHttpUrls)
    addresses.push({ ...optionsOf(url, config, tls), protocols: 'http1' });
  return addresses;
}

/** Returns the URL with the same address and the other scheme, if there is one. */
function twinOf(
  url: EndpointUrl,
  { listenClientUrls }: Config,
  tls: TlsEndpoint | undefined,
): EndpointUrl | undefined {
  if (tls === undefined || url.socketPath !== undefined) return undefined;
  return listenClientUrls.find(
    ({ secure, host, port }) => secure !== url.secure && host === url.host && port === url.port,
  );
}

function optionsOf(url: EndpointUrl, config: Config, tls: TlsEndpoint | undefined): ListenAddress {
  if (!url.secure || tls === undefined) return listenAddress(url, config);
  return { ...listenAddress(url, config), tls: tls.options, guard: tls };
}
