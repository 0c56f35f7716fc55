import { writeFileSync } from 'node:fs';
import { request as plainRequest } from 'node:http';
import { request as secureRequest, type RequestOptions } from 'node:https';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectSecure, type ConnectionOptions } from 'node:tls';
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority } from '../../src/tls/testing/authority.ts';
import { PutRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { runCommand } from '../harness/command.ts';
import { Member } from '../harness/member.ts';
import { keysteadBundle, missingPeers } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';
import { AuthServer, kinds, outcome } from './auth-server.ts';
import { Side } from './auth-side.ts';

const missing = missingPeers('etcd');
const directory = tempDir('advisories');
const authority = new Authority();

interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

function issue(name: string, commonName: string | undefined): KeyPair {
  const { certificate, keyPem } = authority.issue({
    hosts: ['localhost', '127.0.0.1'],
    ...(commonName === undefined ? {} : { commonName }),
  });
  writeFileSync(join(directory, `${name}.crt`), certificate);
  writeFileSync(join(directory, `${name}.key`), keyPem, { mode: 0o600 });
  return { cert: certificate, key: keyPem };
}

type Post = Omit<RequestOptions, 'headers'> & { readonly headers?: Record<string, string> };

/**
 * Posts to the JSON gateway. Returns status and body. The Accept header is that of browsers and curl. Without it, etcd
 * may treat the request as one of the user in the certificate of its own gateway.
 */
function post(options: Post, body: string): Promise<string> {
  const request = options.ca === undefined ? plainRequest : secureRequest;
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: 'localhost',
        family: 4,
        method: 'POST',
        agent: false,
        ...options,
        headers: { accept: '*/*', ...options.headers },
      },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => resolve(`${response.statusCode ?? 0} ${text}`));
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

describe.skipIf(missing !== undefined).each(kinds)(`advisories about TLS, on %s ${missing ?? ''}`, (kind) => {
  let server: AuthServer;
  let securePort: number;
  let root: KeyPair;
  let nameless: KeyPair;
  const ca = authority.certificate;
  const put = '{"key":"YQ==","value":"Yg=="}';

  beforeAll(async () => {
    writeFileSync(join(directory, 'ca.crt'), ca);
    nameless = issue('server', undefined);
    root = issue('root', 'root');
    const [clientPort, port] = [await freePort(), await freePort()];
    securePort = port;
    const urls = `http://127.0.0.1:${clientPort},https://127.0.0.1:${securePort}`;
    server = new AuthServer(
      await Member.start({
        kind,
        clientPort,
        flags: [
          ...[`--listen-client-urls=${urls}`, `--advertise-client-urls=${urls}`, '--bcrypt-cost=4'],
          ...[`--cert-file=${join(directory, 'server.crt')}`, `--key-file=${join(directory, 'server.key')}`],
          ...['--client-cert-auth', `--trusted-ca-file=${join(directory, 'ca.crt')}`],
          '--host-whitelist=good.example,127.0.0.1',
        ],
      }),
    );
    await server.enable();
  });
  afterAll(() => server.stop());

  it('CVE-2018-16886 (GHSA-h6xx-pmxh-3wgp): a certificate does not authenticate a client of the gateway', async () => {
    const secure = { port: securePort, path: '/v3/kv/put', ca };
    // Nor do headers of the client.
    const headers = {
      'Grpc-Metadata-token': 'x',
      'Grpc-Metadata-user': 'root',
      'X-Forwarded-For': '127.0.0.1',
    };
    const token = { authorization: server.root ?? '' };
    for (const said of [{}, headers, token])
      expect(await post({ ...secure, ...root, headers: said }, put)).toMatch(/^400 CommonName of client/);
    // A certificate without a name is accepted, without a user.
    expect(await post({ ...secure, ...nameless }, put)).toMatch(/^400 .*user name is empty/);
    expect(await post({ ...secure, ...nameless, headers }, put)).not.toMatch(/^200/);
    expect(await post({ ...secure, ...nameless, headers: token }, put)).toMatch(/^200/);
    const request = PutRequest.create({ key: Buffer.from('a'), value: Buffer.from('b') });
    const side = new Side(
      `127.0.0.1:${securePort}`,
      credentials.createSsl(Buffer.from(ca), Buffer.from(root.key), Buffer.from(root.cert)),
    );
    expect(outcome(await side.call(KV.methods.put, request))).toBe('ok');
    // The gateway's own header, sent by a client, removes the user and gives no other one.
    const marked = await side.call(KV.methods.put, request, { 'grpcgateway-accept': 'application/json' });
    expect(outcome(marked)).toBe('3 etcdserver: user name is empty');
    side.close();
  });

  it('CVE-2026-73500 (GHSA-6vch-q96h-7gc3): connections without a handshake are closed', async () => {
    const sockets: Socket[] = [];
    let closed = 0;
    for (let at = 0; at < 200; at++) {
      const socket = connect(securePort, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.on('close', () => closed++);
      // Half of them start the handshake and then send nothing.
      if (at % 2 === 0) socket.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0]));
      sockets.push(socket);
    }
    expect(await post({ port: securePort, path: '/v3/kv/range', ca, ...root }, put)).toMatch(/^400/);
    await eventually('all let go', () => closed === sockets.length, { timeoutMs: 40_000 });
  });

  it('GHSA-5x4g-q5rc-36jp: neither old versions of TLS nor weak ciphers', async () => {
    const shake = (options: ConnectionOptions): Promise<string> =>
      new Promise((resolve) => {
        const socket = connectSecure(
          { host: '127.0.0.1', servername: 'localhost', port: securePort, ca, ...root, ...options },
          () => {
            resolve(`${socket.getProtocol() ?? ''} ${socket.getCipher().name}`);
            socket.destroy();
          },
        );
        socket.on('error', (error: Error) => resolve(`refused: ${error.message}`));
      });
    expect(await shake({})).toMatch(/^TLSv1\.3 /);
    expect(await shake({ maxVersion: 'TLSv1.2' })).toMatch(/^TLSv1\.2 ECDHE-/);
    for (const maxVersion of ['TLSv1', 'TLSv1.1'] as const)
      expect(await shake({ minVersion: 'TLSv1', maxVersion, ciphers: 'ALL:@SECLEVEL=0' })).toMatch(
        /^refused/,
      );
    for (const ciphers of ['3DES', 'RC4', 'aNULL', 'eNULL', 'kRSA', 'CAMELLIA', 'ARIA', 'PSK', 'kDHE'])
      expect(
        await shake({ maxVersion: 'TLSv1.2', ciphers: `${ciphers}:@SECLEVEL=0` }).catch(() => 'refused'),
        ciphers,
      ).toMatch(/^refused/);
  });

  it('CVE-2018-5702, CVE-2018-1099 (GHSA-wf43-55jj-vwq8): a name that a page made up for this host', async () => {
    const { clientPort: port } = server.member;
    const ask = (host: string): Promise<string> =>
      post({ port, path: '/v3/kv/put', headers: { host, authorization: server.root ?? '' } }, put);
    expect(await ask('good.example')).toMatch(/^200/);
    for (const host of ['evil.example', `evil.example:${port}`, 'good.example.evil.example', 'localhost'])
      expect(await ask(host)).toMatch(/^421/);
  });
});

it('CVE-2020-15114, CVE-2020-15136, GHSA-j86v-2vjr-fg8f: there is no TCP proxy to be fooled', async () => {
  for (const name of ['gateway', 'grpc-proxy']) {
    const result = await runCommand(process.execPath, [keysteadBundle(), name, 'start'], {
      timeoutMs: 20_000,
    });
    expect(result.code).toBe(1);
    expect(result.stderr).toContain('not part of Keystead');
  }
});
