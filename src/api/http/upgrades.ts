import type { IncomingMessage, Server } from 'node:http';
import { type AccessRules, refusedHost } from './access.ts';
import { resolvePath } from './clean-path.ts';
import { requestUrl } from './reply.ts';

/** The handler of WebSockets. */
export interface UpgradeTarget {
  upgrade(request: IncomingMessage, head: Buffer): void;
  refuses(socket: IncomingMessage['socket']): boolean;
}

/**
 * Passes WebSockets to the gateway. All other upgrade requests go back to the server as requests without an upgrade.
 * As in etcd, there is no upgrade to HTTP/2; clients that ask for it continue with HTTP/1.1.
 */
export function serveUpgrades(server: Server, target: UpgradeTarget, rules: AccessRules): void {
  server.on('upgrade', (request: IncomingMessage, _socket: unknown, head: Buffer) => {
    const { socket } = request;
    const { path } = requestUrl(request);
    const resolved = resolvePath(path);
    const isOfGateway =
      resolved !== undefined && resolved.plain === resolved.clean && /^\/v3(beta)?\//.test(resolved.plain);
    const isAllowed = refusedHost(request, rules) === undefined && !target.refuses(socket);
    if (isWebSocket(request) && isOfGateway && isAllowed) {
      request.url = resolved.plain.replace('/v3beta/', '/v3/');
      target.upgrade(request, head);
      return;
    }
    socket.unshift(Buffer.concat([headWithoutUpgrade(request), head]));
    server.emit('connection', socket);
  });
}

function isWebSocket({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && (headers.upgrade ?? '').toLowerCase() === 'websocket';
}

function headWithoutUpgrade({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  const lines = [`${method ?? ''} ${url ?? ''} HTTP/${httpVersion}`];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    if (name.toLowerCase() !== 'upgrade') lines.push(`${name}: ${rawHeaders[at + 1] ?? ''}`);
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}
