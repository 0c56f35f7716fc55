import { rmSync } from 'node:fs';
import type { Config } from '../config/config.ts';
import type { EndpointUrl } from '../config/urls.ts';

/**
 * Returns the address to listen on. As etcd, removes an existing socket file: a killed process leaves it behind, and
 * no process could listen there again. With `reusePort`, other processes may listen on the same port.
 */
export function listenAddress(
  url: EndpointUrl,
  { socketReusePort }: Pick<Config, 'socketReusePort'>,
): { host: string; port: number; reusePort?: true } | { path: string } {
  if (url.socketPath !== undefined) {
    rmSync(url.socketPath, { force: true });
    return { path: url.socketPath };
  }
  // As Go, listens on the IPv4 loopback address.
  const host = url.host === 'localhost' ? '127.0.0.1' : url.host;
  return { host, port: Number(url.port), ...(socketReusePort ? { reusePort: true } : {}) };
}
