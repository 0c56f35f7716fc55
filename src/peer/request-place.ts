import type { RequestOptions } from 'node:http';
import { urlToHttpOptions } from 'node:url';

/** Where a request to a member goes. */
export interface RequestPlace {
  readonly isSecure: boolean;
  /** Host and port, or the path of a unix socket, and the path asked for. */
  readonly options: RequestOptions;
}

const UNIX_URL = /^(unixs?):(?:\/\/)?(.+)$/;

/**
 * The place of a path under a peer URL. As in etcd, `unix://host:port` is a socket file of that name, `host:port`, in the
 * working directory; `unix:///directory/file` is one at that path.
 *
 * @throws TypeError for a text that is no URL
 */
export function requestPlace(peerUrl: string, path: string): RequestPlace {
  const [, scheme, socketPath] = UNIX_URL.exec(peerUrl) ?? [];
  if (socketPath === undefined) {
    const url = new URL(path, peerUrl);
    return { isSecure: url.protocol === 'https:', options: urlToHttpOptions(url) };
  }
  // What a certificate has to be for.
  const host = /^([^/:]+):[^/]*$/.exec(socketPath)?.[1] ?? 'localhost';
  return { isSecure: scheme === 'unixs', options: { socketPath, host, path } };
}

/** Whether there is anything that a connection to it could be tried with. */
export function isDialable(peerUrl: string): boolean {
  if (UNIX_URL.test(peerUrl)) return true;
  if (!URL.canParse(peerUrl)) return false;
  const { protocol } = new URL(peerUrl);
  return protocol === 'http:' || protocol === 'https:';
}
