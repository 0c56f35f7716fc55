import { readFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority } from '../../src/tls/testing/authority.ts';
import { PutRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { Certificates } from '../harness/certificates.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member, serverUnderTest } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';

const missing = missingPeers('etcdctl');

describe.skipIf(missing !== undefined)(`TLS for clients ${missing ?? ''}`, () => {
  const files = new Certificates('tls');
  const { authority } = files;
  const stranger = new Authority('stranger');
  const path = (name: string): string => files.path(name);
  let member: Member;
  let securePort: number;
  let etcdctl: Etcdctl;

  /** What a client with the certificate of that name gives to etcdctl. */
  const as = (name: string, ca = 'ca.crt'): string[] => [
    ...files.flags(name, ca),
    ...['--dial-timeout=2s', '--command-timeout=2s'],
  ];

  const works = async (...args: string[]): Promise<boolean> =>
    (await etcdctl.run([...args, 'get', 'k'])).code === 0;

  beforeAll(async () => {
    files.write('stranger-ca.crt', stranger.certificate);
    files.issue('server', { hosts: ['localhost', '127.0.0.1'] });
    files.issue('root', { commonName: 'root', usage: 'client' });
    files.issue('alice', { commonName: 'alice', usage: 'client' });
    files.issue('expired', { commonName: 'root', days: -1 });
    files.issue('stranger', { commonName: 'root' }, stranger);
    const revoked = authority.issue({ commonName: 'root' });
    files.write('revoked.crt', revoked.certificate);
    files.write('revoked.key', revoked.keyPem);
    files.write('crl', authority.revoke(revoked));
    const clientPort = await freePort();
    securePort = await freePort();
    const urls = `http://127.0.0.1:${clientPort},https://127.0.0.1:${securePort}`;
    member = await Member.start({
      kind: serverUnderTest,
      clientPort,
      flags: [
        ...[`--listen-client-urls=${urls}`, `--advertise-client-urls=${urls}`, '--bcrypt-cost=4'],
        ...[`--cert-file=${path('server.crt')}`, `--key-file=${path('server.key')}`, '--client-cert-auth'],
        ...[`--trusted-ca-file=${path('ca.crt')}`, `--client-crl-file=${path('crl')}`],
      ],
    });
    etcdctl = new Etcdctl(`https://localhost:${securePort}`);
  });

  afterAll(() => member.destroy());

  it('serves those with a certificate of the authority, and nobody else', async () => {
    expect(await works(...as('root'))).toBe(true);
    expect(await works(...as('expired'))).toBe(false);
    expect(await works(...as('stranger'))).toBe(false);
    expect(await works(...as('revoked'))).toBe(false);
    expect(await works(`--cacert=${path('ca.crt')}`, '--dial-timeout=2s', '--command-timeout=2s')).toBe(
      false,
    );
    expect(await works(...as('root', 'stranger-ca.crt'))).toBe(false);
    // Beside it, plain HTTP goes on.
    expect((await fetch(`${member.clientUrl}/version`)).status).toBe(200);
  });

  it('answers nothing in plain text on the TLS port', async () => {
    for (const text of ['GET /version HTTP/1.1\r\nHost: a\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n']) {
      const answer = await new Promise<string>((resolve) => {
        const socket = connectPlain(securePort, '127.0.0.1', () => socket.write(text));
        let received = '';
        socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
        socket.on('error', () => undefined);
        socket.on('close', () => resolve(received));
      });
      expect(answer).not.toMatch(/etcdserver|\0\0.\x04/);
    }
  });

  it('takes certificates for users', async () => {
    const root = as('root');
    for (const args of [
      'user add root:pw',
      'user add alice --no-password',
      'role add r',
      'user grant-role alice r',
    ])
      await etcdctl.ok([...root, ...args.split(' ')]);
    await etcdctl.ok([...root, 'role', 'grant-permission', 'r', 'read', 'k']);
    await etcdctl.ok([...root, 'auth', 'enable']);
    expect(await works(...as('alice'))).toBe(true);
    const refused = await etcdctl.run([...as('alice'), 'put', 'k', 'v']);
    expect(refused.stderr).toContain('permission denied');
    await etcdctl.ok([...root, 'put', 'k', 'v']);
    await etcdctl.ok([...as('alice'), '--user=root:pw', 'put', 'k', 'v']);
    // The server's own certificate has no name, and so may do nothing.
    expect(await works(...as('server'))).toBe(false);
    await etcdctl.ok([...root, 'auth', 'disable']);
  });

  it('changes certificates under load with no failed request', async () => {
    let failed = 0;
    let done = 0;
    let isOver = false;
    const request = PutRequest.create({ key: Buffer.from('k'), value: Buffer.from('v') });
    const put = (client: Client): Promise<void> =>
      new Promise((resolve) => {
        client.makeUnaryRequest(
          KV.methods.put.path,
          (message: PutRequest) => PutRequest.encode(message),
          (bytes: Buffer) => bytes,
          request,
          new Metadata(),
          { deadline: Date.now() + 5_000 },
          (error) => {
            if (error === null) done++;
            else failed++;
            resolve();
          },
        );
      });
    // Each round dials anew, so that handshakes meet every state of the files.
    const worker = async (): Promise<void> => {
      while (!isOver) {
        const [ca, key, cert] = ['ca.crt', 'root.key', 'root.crt'].map((name) => readFileSync(path(name)));
        const client = new Client(`localhost:${securePort}`, credentials.createSsl(ca, key, cert), {
          'grpc.use_local_subchannel_pool': 1,
        });
        for (let round = 0; round < 5; round++) await put(client);
        client.close();
      }
    };
    const workers = [worker(), worker(), worker()];
    for (let round = 0; round < 10 || (failed === 0 && done <= 50); round++) {
      files.issue('server', { hosts: ['localhost', '127.0.0.1'] });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    isOver = true;
    await Promise.all(workers);
    expect(failed).toBe(0);
    expect(done).toBeGreaterThan(50);
  });
});
