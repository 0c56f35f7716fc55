import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { EventLoopDelay } from '../../metrics/event-loop.ts';
import { Metrics } from '../../metrics/metrics.ts';
import { Registry } from '../../metrics/registry.ts';
import type { Logger } from '../../ports/logger.ts';
import { createClientHttpHandler, createMetricsHttpHandler, type ClientHttpOptions } from './handler.ts';
import type { HealthSource } from './health-source.ts';

const quiet: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const healthy: HealthSource = {
  hasLeader: () => true,
  isLearner: () => false,
  alarms: () => [],
  read: () => Promise.resolve(),
};

function clientOptions(changes: Partial<ClientHttpOptions> = {}): ClientHttpOptions {
  const metrics = new Metrics();
  const eventLoop = new EventLoopDelay();
  eventLoop.stop();
  const versions = { server: '3.7.1', runtime: 'node' };
  return {
    health: healthy,
    metrics,
    registry: new Registry({ metrics, versions, eventLoop, extensive: false }),
    logger: quiet,
    corsOrigins: ['*'],
    hostWhitelist: ['*'],
    versions: { clusterVersion: () => '3.7.0', storageVersion: () => '3.7.0' },
    serverVersion: '3.7.1',
    commandLine: ['keystead'],
    raftStatus: () => ({ term: 2 }),
    enablePprof: false,
    gateway: undefined,
    ...changes,
  };
}

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listen(handler: ReturnType<typeof createClientHttpHandler>): Promise<number> {
  const server = createServer(handler);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** The response's raw bytes. The date is masked, and the headers that `Connection: close` adds are left out. */
async function rawExchange(port: number, method: string, path: string, headers = ''): Promise<Buffer> {
  const socket = connect(port, '127.0.0.1');
  socket.write(
    `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n${headers}\r\n`,
  );
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

interface Recorded {
  readonly method: string;
  readonly path: string;
  readonly head: readonly string[];
  readonly body: string;
}

describe('answers like the recorded etcd 3.7.1', async () => {
  const recorded = JSON.parse(
    readFileSync(new URL('testdata/etcd.json', import.meta.url), 'utf8'),
  ) as readonly Recorded[];
  const port = await listen(createClientHttpHandler(clientOptions()));
  servers.splice(0);

  it.each(recorded.map((entry) => [`${entry.method} ${entry.path}`, entry] as const))(
    '%s',
    async (_name, entry) => {
      const text = (await rawExchange(port, entry.method, entry.path)).toString();
      const [head = '', body = ''] = text.split(/\r\n\r\n(.*)/s);
      const lines = head.replace(/\r\nDate: [^\r]*/, '\r\nDate: *').split('\r\n');
      // The order of headers is not compared; the status line and the headers are.
      expect(lines.filter((line) => line !== 'Connection: close').sort()).toEqual([...entry.head].sort());
      // etcd runs its checks in the random order of a Go map.
      expect(body.split('\n').sort()).toEqual(entry.body.split('\n').sort());
    },
  );
});

async function get(
  port: number,
  path: string,
  init: RequestInit = {},
): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
  return { status: response.status, text: await response.text() };
}

describe('health', () => {
  it('is false while an alarm is raised that is not excluded', async () => {
    const health = { ...healthy, alarms: () => ['NOSPACE'] };
    const port = await listen(createClientHttpHandler(clientOptions({ health })));
    expect(await get(port, '/health')).toEqual({
      status: 503,
      text: '{"health":"false","reason":"ALARM NOSPACE"}\n',
    });
    expect((await get(port, '/health?exclude=NOSPACE')).status).toBe(200);
  });

  it('needs a leader unless serializable', async () => {
    const health = { ...healthy, hasLeader: () => false };
    const port = await listen(createClientHttpHandler(clientOptions({ health })));
    expect(await get(port, '/health')).toEqual({
      status: 503,
      text: '{"health":"false","reason":"RAFT NO LEADER"}\n',
    });
    expect((await get(port, '/health?serializable=true')).status).toBe(200);
  });

  it('names the check of readyz that failed', async () => {
    const read: HealthSource['read'] = ({ serializable }) =>
      serializable ? Promise.resolve() : Promise.reject(new Error('etcdserver: request timed out'));
    const options = clientOptions({
      health: { ...healthy, read, isLearner: () => true, alarms: () => ['CORRUPT'] },
    });
    const port = await listen(createClientHttpHandler(options));
    expect(await get(port, '/readyz')).toEqual({
      status: 503,
      text:
        '[-]data_corruption failed: alarm activated: CORRUPT\n[+]serializable_read ok\n' +
        '[-]linearizable_read failed: etcdserver: request timed out\n[-]non_learner failed: not supported for learner\n\n',
    });
    expect((await get(port, '/livez')).status).toBe(200);
    expect((await get(port, '/metrics')).text).toContain(
      'etcd_server_healthchecks_total{name="non_learner",status="error",type="readyz"} 1',
    );
  });
});

it('metrics are compressed for clients that accept gzip', async () => {
  const port = await listen(createMetricsHttpHandler(clientOptions()));
  const raw = await rawExchange(port, 'GET', '/metrics', 'Accept-Encoding: gzip\r\n');
  expect(raw.toString('latin1')).toContain('Content-Encoding: gzip\r\n');
  const bodyAt = raw.indexOf('\r\n\r\n') + 4;
  const sizeEnd = raw.indexOf('\r\n', bodyAt);
  const size = Number.parseInt(raw.subarray(bodyAt, sizeEnd).toString(), 16);
  expect(gunzipSync(raw.subarray(sizeEnd + 2, sizeEnd + 2 + size)).toString()).toContain(
    '# TYPE etcd_server_has_leader gauge',
  );
  expect((await get(port, '/version')).status).toBe(404);
});

it('a host name that is not listed is refused', async () => {
  const port = await listen(createClientHttpHandler(clientOptions({ hostWhitelist: ['example.com'] })));
  expect((await get(port, '/version')).status).toBe(421);
});

it('only listed origins get CORS headers', async () => {
  const port = await listen(createClientHttpHandler(clientOptions({ corsOrigins: ['http://a:1'] })));
  const listed = await fetch(`http://127.0.0.1:${port}/version`, { headers: { Origin: 'http://a:1' } });
  expect(listed.headers.get('access-control-allow-origin')).toBe('http://a:1');
  const other = await fetch(`http://127.0.0.1:${port}/version`, { headers: { Origin: 'http://b:1' } });
  expect(other.headers.get('access-control-allow-origin')).toBeNull();
});

it('profiles are served only when enabled', async () => {
  const off = await listen(createClientHttpHandler(clientOptions()));
  expect((await get(off, '/debug/pprof/')).status).toBe(404);
  const on = await listen(createClientHttpHandler(clientOptions({ enablePprof: true })));
  expect((await get(on, '/debug/pprof/')).status).toBe(200);
  const { text } = await get(on, '/debug/pprof/profile?seconds=0.05');
  expect(JSON.parse(text)).toHaveProperty('nodes');
  expect((await get(on, '/debug/pprof/nosuch')).status).toBe(404);
});

it('the gateway gets requests under /v3/, with old paths renamed', async () => {
  const gateway: ClientHttpOptions['gateway'] = (request, response) => response.end(request.url);
  const port = await listen(createClientHttpHandler(clientOptions({ gateway })));
  expect((await get(port, '/v3/kv/range')).text).toBe('/v3/kv/range');
  expect((await get(port, '/v3beta/kv/range')).text).toBe('/v3/kv/range');
});

it('debug variables hold the command line and the raft status', async () => {
  const port = await listen(createClientHttpHandler(clientOptions()));
  expect(JSON.parse((await get(port, '/debug/vars')).text)).toMatchObject({
    cmdline: ['keystead'],
    'raft.status': { term: 2 },
  });
});
