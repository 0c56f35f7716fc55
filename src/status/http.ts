import type { IncomingMessage, ServerResponse } from 'node:http';
import { refusedHost, refusedHostText } from '../api/http/access.ts';
import type { HttpHandler } from '../api/http/handler.ts';
import { type Headers, reply, replyError, replyNotFound, requestUrl } from '../api/http/reply.ts';
import type { Logger } from '../ports/logger.ts';
import type { StatusReport } from './report.ts';

/** Each path of the page with its file. */
export const pageFiles = {
  '/': { file: 'index.html', type: 'text/html; charset=utf-8' },
  '/page.css': { file: 'page.css', type: 'text/css; charset=utf-8' },
  '/page.js': { file: 'page.js', type: 'text/javascript; charset=utf-8' },
  '/icon.svg': { file: 'icon.svg', type: 'image/svg+xml' },
} as const;

const REPORT_PATH = '/status.json';

/** Nothing is loaded from elsewhere, nothing inline runs, no other page can frame or read this one. */
const secureHeaders: Headers = [
  [
    'Content-Security-Policy',
    [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self'",
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ].join('; '),
  ],
  ['X-Content-Type-Options', 'nosniff'],
  ['X-Frame-Options', 'DENY'],
  ['Referrer-Policy', 'no-referrer'],
  ['Cross-Origin-Opener-Policy', 'same-origin'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
  ['Cache-Control', 'no-store'],
];

export interface StatusHttpOptions {
  /** The contents of the files by path. */
  readonly files: ReadonlyMap<string, string>;
  readonly report: () => Promise<StatusReport>;
  /** As for clients: the host names of plain HTTP requests. */
  readonly hostWhitelist: readonly string[];
  readonly logger: Logger;
}

/** Serves the status page. It only reads, and takes no parameters. */
export function createStatusHandler(options: StatusHttpOptions): HttpHandler {
  return (request, response) => {
    for (const [name, value] of secureHeaders) response.setHeader(name, value);
    serve(request, response, options).catch((error: unknown) => {
      options.logger.error('the status page failed', { error });
      if (response.headersSent) response.destroy();
      else replyError(response, 500, 'Internal Server Error');
    });
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  { files, report, hostWhitelist }: StatusHttpOptions,
): Promise<void> {
  const refused = refusedHost(request, { hostWhitelist, corsOrigins: [] });
  if (refused !== undefined) {
    replyError(response, 421, refusedHostText(refused));
    return;
  }
  const { path } = requestUrl(request);
  const isReport = path === REPORT_PATH;
  const file = files.get(path);
  if (!isReport && file === undefined) {
    replyNotFound(response);
    return;
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    replyError(response, 405, 'Method Not Allowed', [['Allow', 'GET, HEAD']]);
    return;
  }
  if (file === undefined) {
    reply(response, 200, [['Content-Type', 'application/json']], JSON.stringify(await report()));
    return;
  }
  const { type } = pageFiles[path as keyof typeof pageFiles];
  reply(response, 200, [['Content-Type', type]], file);
}
