import { createServer } from 'node:http';
import { request } from 'node:https';
import { connect } from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { hasOpenssl, makeCertificates } from './test-certificates.ts';
import { TestClient } from './test-client.ts';
import { TestServer } from './test-server.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

// openssl makes the certificates.
describe.skipIf(!hasOpenssl())('TLS', () => {
  async function start() {
    const { ca, certificates } = makeCertificates('server', 'root');
    const [own, clientCertificate] = certificates;
    const http1 = createServer((req, response) => response.end(`${req.httpVersion} ${req.url ?? ''}`));
    const server = new TestServer({ http1 });
    cleanups.push(() => server.grpc.close());
    const tls = { cert: own!.cert, key: own!.key, ca, requestCert: true, rejectUnauthorized: false };
    server.port = await server.grpc.listen({ host: '127.0.0.1', port: 0, tls });
    return { server, ca, clientCertificate: clientCertificate! };
  }

  function client(server: TestServer, credentials: grpc.ChannelCredentials): TestClient {
    const made = new TestClient(`localhost:${server.port}`, credentials);
    cleanups.push(() => made.close());
    return made;
  }

  it('gRPC with and without a client certificate', async () => {
    const { server, ca, clientCertificate } = await start();
    const anonymous = client(server, grpc.credentials.createSsl(ca));
    expect((await anonymous.unary('/test.Test/Peer')).message?.toString()).toMatch(/^127\.0\.0\.1:\d+ -$/);
    const named = client(
      server,
      grpc.credentials.createSsl(ca, clientCertificate.key, clientCertificate.cert),
    );
    expect((await named.unary('/test.Test/Peer')).message?.toString()).toMatch(/ root$/);
    const large = Buffer.alloc(1_000_000, 'x');
    expect((await named.unary('/test.Test/Echo', large)).message?.equals(large)).toBe(true);
    expect((await named.unary('/test.Test/Big', '30000000')).message).toHaveLength(30_000_000);
  });

  /** This once crashed the process: a request may be handled after its client has disconnected. */
  it('a closed connection has no certificate', async () => {
    const { server, ca, clientCertificate } = await start();
    const seen = new Promise<unknown>((resolve) => {
      const method = { path: '/test.Gone/Ask', clientStreaming: false, serverStreaming: false };
      server.grpc.unary(method, (call) => {
        call.session.destroy();
        setImmediate(() => resolve([call.session.hasCertificate, call.session.commonName]));
      });
    });
    const named = client(
      server,
      grpc.credentials.createSsl(ca, clientCertificate.key, clientCertificate.cert),
    );
    void named.unary('/test.Gone/Ask');
    expect(await seen).toEqual([false, undefined]);
  });

  it('HTTP/1.1 with and without ALPN, and for clients that offer both', async () => {
    const { server, ca } = await start();
    for (const ALPNProtocols of [undefined, ['http/1.1'], ['h2', 'http/1.1']]) {
      const body = await new Promise<string>((resolve, reject) => {
        const options = {
          host: 'localhost',
          port: server.port,
          path: '/version',
          ca,
          ALPNProtocols,
          agent: false as const,
        };
        const req = request(options, (response) => {
          let text = '';
          response.on('data', (chunk: Buffer) => (text += chunk.toString()));
          response.on('end', () => resolve(text));
        });
        req.on('error', reject);
        req.end();
      });
      expect(body).toBe('1.1 /version');
    }
  });

  it('a client that negotiated h2 cannot use HTTP/1.1', async () => {
    const { server, ca } = await start();
    const socket = connect({ host: 'localhost', port: server.port, ca, ALPNProtocols: ['h2'] });
    cleanups.push(() => socket.destroy());
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    await new Promise((resolve) => socket.on('close', resolve));
    expect(answer).toBe('');
  });

  it('new certificates serve new connections', async () => {
    const { server, ca } = await start();
    const old = client(server, grpc.credentials.createSsl(ca));
    expect((await old.unary('/test.Test/Echo', 'a')).code).toBe(0);
    const next = makeCertificates('server');
    server.grpc.setSecureContext({ cert: next.certificates[0]!.cert, key: next.certificates[0]!.key });
    const fresh = client(server, grpc.credentials.createSsl(next.ca));
    expect((await fresh.unary('/test.Test/Echo', 'b')).message?.toString()).toBe('b');
    expect((await old.unary('/test.Test/Echo', 'c')).message?.toString()).toBe('c');
  });

  it('the connection of a client without TLS on a TLS port is closed', async () => {
    const { server } = await start();
    const plain = client(server, grpc.credentials.createInsecure());
    expect((await plain.unary('/test.Test/Echo', 'a', { deadline: Date.now() + 2_000 })).code).not.toBe(0);
    expect(server.grpc.connectionCount).toBe(0);
  });
});
