import { rmSync } from 'node:fs';
import type { EndpointUrl } from '../config/urls.ts';

/**
 * Where a URL asks to listen. As etcd, removes a socket file that is there: a process that was killed leaves it
 * behind, and nothing could listen there again.
 */
export function listenPlace(url: EndpointUrl): { host: string; port: number } | { path: string } {
  if (url.socketPath !== undefined) {
    rmSync(url.socketPath, { force: true });
    return { path: url.socketPath };
  }
  // Go listens on the IPv4 loopback for this name.
  const host = url.host === 'localhost' ? '127.0.0.1' : url.host;
  return { host, port: Number(url.port) };
}
