import { createServer, request as httpRequest, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { Logger } from '../ports/logger.ts';
import { createStatusHandler } from './http.ts';
import type { StatusReport } from './report.ts';

const files = new Map([
  ['/', '<!doctype html>'],
  ['/page.css', 'body {}'],
  ['/page.js', 'export {};'],
  ['/icon.svg', '<svg/>'],
]);
const report = { atMs: 1 } as StatusReport;
const servers: Server[] = [];

async function serve(hostWhitelist: readonly string[] = ['*'], answer = () => Promise.resolve(report)) {
  const errors: string[] = [];
  const ignore = (): void => undefined;
  const logger: Logger = {
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: (text) => void errors.push(text),
  };
  const server = createServer(createStatusHandler({ files, report: answer, hostWhitelist, logger }));
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const ask = (path: string, method = 'GET', headers = {}) =>
    new Promise<{ status: number; headers: IncomingHttpHeaders; body: string }>((resolve, reject) => {
      const asked = httpRequest({ host: '127.0.0.1', port, path, method, headers }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => (body += text));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        );
      });
      asked.on('error', reject).end();
    });
  return { ask, errors };
}

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

describe('the status page', () => {
  it.each([
    ['/', 'text/html; charset=utf-8', '<!doctype html>'],
    ['/?x=1', 'text/html; charset=utf-8', '<!doctype html>'],
    ['/page.css', 'text/css; charset=utf-8', 'body {}'],
    ['/page.js', 'text/javascript; charset=utf-8', 'export {};'],
    ['/icon.svg', 'image/svg+xml', '<svg/>'],
    ['/status.json', 'application/json', '{"atMs":1}'],
  ])('serves %s to GET and HEAD', async (path, type, body) => {
    const { ask } = await serve();
    const got = await ask(path);
    expect([got.status, got.headers['content-type'], got.body]).toEqual([200, type, body]);
    const head = await ask(path, 'HEAD');
    expect([head.status, head.headers['content-length'], head.body]).toEqual([200, String(body.length), '']);
  });

  it.each([
    '/metrics',
    '/health',
    '/version',
    '/v3/kv/range',
    '/index.html',
    '//',
    '/../etc/passwd',
    '/status.json/',
    '/constructor',
    '/favicon.ico',
  ])('has nothing at %s', async (path) => {
    const { ask } = await serve();
    expect((await ask(path)).status).toBe(404);
    expect((await ask(path, 'POST')).status).toBe(404);
  });

  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE'])('refuses %s', async (method) => {
    const { ask } = await serve();
    for (const path of ['/', '/status.json']) {
      const { status, headers } = await ask(path, method);
      expect([status, headers.allow]).toEqual([405, 'GET, HEAD']);
    }
  });

  it('sends the same strict headers with each answer', async () => {
    const { ask } = await serve();
    for (const [path, method] of [
      ['/', 'GET'],
      ['/status.json', 'GET'],
      ['/none', 'GET'],
      ['/', 'POST'],
    ] as const) {
      const { headers } = await ask(path, method);
      const policy = headers['content-security-policy'];
      expect(policy).toContain("default-src 'none'");
      expect(policy).not.toMatch(/unsafe|https?:|\*|data:/);
      expect(headers).toMatchObject({
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'x-frame-options': 'DENY',
        'cross-origin-resource-policy': 'same-origin',
      });
      expect(headers['access-control-allow-origin']).toBeUndefined();
    }
  });

  it('refuses host names that are not allowed', async () => {
    const { ask } = await serve(['good.example']);
    expect((await ask('/status.json', 'GET', { host: 'good.example:80' })).status).toBe(200);
    expect((await ask('/status.json', 'GET', { host: 'bad.example:80' })).status).toBe(421);
  });

  it('answers 500 when there is no report, without the reason', async () => {
    const { ask, errors } = await serve(['*'], () => Promise.reject(new Error('inside')));
    const { status, body } = await ask('/status.json');
    expect([status, body]).toEqual([500, 'Internal Server Error\n']);
    expect(errors).toEqual(['the status page failed']);
  });
});
