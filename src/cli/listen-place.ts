import type { EndpointUrl } from '../config/urls.ts';

/** Where a URL asks to listen. */
export function listenPlace(url: EndpointUrl): { host: string; port: number } | { path: string } {
  if (url.socketPath !== undefined) return { path: url.socketPath };
  // Go listens on the IPv4 loopback for this name.
  const host = url.host === 'localhost' ? '127.0.0.1' : url.host;
  return { host, port: Number(url.port) };
}
