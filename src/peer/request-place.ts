import type { RequestOptions } from 'node:http';
import { urlToHttpOptions } from 'node:url';

/** The target of a request to a member. */
export interface RequestPlace {
  readonly isSecure: boolean;
  /** Host and port, or the path of a unix socket, and the request path. */
  readonly options: RequestOptions;
}

const UNIX_URL = /^(unixs?):(?:\/\/)?(.+)$/;

/**
 * The target of a path under a peer URL. As in etcd, `unix://host:port` is a socket file named `host:port` in the
 * working directory, and `unix:///directory/file` is one at that path.
 *
 * @throws TypeError for a text that is not a URL
 */
export function requestPlace(peerUrl: string, path: string): RequestPlace {
  const [, scheme, socketPath] = UNIX_URL.exec(peerUrl) ?? [];
  if (socketPath === undefined) {
    const url = new URL(path, peerUrl);
    return { isSecure: url.protocol === 'https:', options: urlToHttpOptions(url) };
  }
  // The host name that the certificate must have.
  const host = /^([^/:]+):[^/]*$/.exec(socketPath)?.[1] ?? 'localhost';
  return { isSecure: scheme === 'unixs', options: { socketPath, host, path } };
}

/** Whether it is a URL that a connection can be tried to. */
export function isDialable(peerUrl: string): boolean {
  if (UNIX_URL.test(peerUrl)) return true;
  if (!URL.canParse(peerUrl)) return false;
  const { protocol } = new URL(peerUrl);
  return protocol === 'http:' || protocol === 'https:';
}
