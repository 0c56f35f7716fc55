import { readFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Certificates } from '../harness/certificates.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member, type MemberKind } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';

const missing = missingPeers('etcd', 'etcdctl');
const PASSWORD = 'p4ssw0rd';

interface Secure {
  readonly member: Member;
  readonly port: number;
  readonly etcdctl: Etcdctl;
}

/** Users that are authenticated by certificates: the gateway does not accept them, and the audit log contains them. */
describe.skipIf(missing !== undefined)(`users by certificate ${missing ?? ''}`, () => {
  const files = new Certificates('certificate-users');
  const folder = tempDir('certificate-users-audit');
  const auditPath = join(folder, 'audit.log');
  const servers: Secure[] = [];

  async function start(kind: MemberKind, further: readonly string[]): Promise<Secure> {
    const clientPort = await freePort();
    const port = await freePort();
    const urls = `http://127.0.0.1:${clientPort},https://127.0.0.1:${port}`;
    const flags = [
      ...[`--listen-client-urls=${urls}`, `--advertise-client-urls=${urls}`, '--bcrypt-cost=4'],
      ...[`--cert-file=${files.path('server.crt')}`, `--key-file=${files.path('server.key')}`],
      ...[`--trusted-ca-file=${files.path('ca.crt')}`, '--client-cert-auth', ...further],
    ];
    const member = await Member.start({ kind, clientPort, flags });
    const etcdctl = new Etcdctl(`https://localhost:${port}`);
    const server = { member, port, etcdctl };
    servers.push(server);
    const root = files.flags('root');
    for (const words of [`user add root:${PASSWORD}`, 'user add alice --no-password', 'auth enable'])
      await etcdctl.ok([...root, ...words.split(' ')]);
    return server;
  }

  beforeAll(async () => {
    files.issue('server', { hosts: ['localhost', '127.0.0.1'] });
    files.issue('root', { commonName: 'root', usage: 'client' });
    files.issue('alice', { commonName: 'alice', usage: 'client' });
    files.issue('nameless', { commonName: '', usage: 'client' });
    const audit = [`--audit-log-path=${auditPath}`, '--audit-log-level=all'];
    await Promise.all([start('etcd', []), start('keystead', audit)]);
    servers.sort((a, b) => a.member.kind.localeCompare(b.member.kind));
  });

  afterAll(async () => {
    for (const { member } of servers) await member.destroy();
    removeTempDir(folder);
  });

  function credentials(name: string) {
    const [ca, cert, key] = ['ca.crt', `${name}.crt`, `${name}.key`].map((file) =>
      readFileSync(files.path(file)),
    );
    return { ca, cert, key };
  }

  function post({ port }: Secure, name: string, path: string, body: string, token?: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const request = httpsRequest(
        {
          ...credentials(name),
          host: 'localhost',
          port,
          path,
          method: 'POST',
          agent: false,
          // etcd's gateway connects to any one of its listeners, and behind a secure one it takes
          // requests without this header for its own user. Clients such as curl send it.
          headers: { accept: '*/*', ...(token === undefined ? {} : { authorization: token }) },
        },
        (response) => {
          let text = '';
          response.on('data', (chunk: Buffer) => (text += chunk.toString()));
          response.on('end', () => resolve(`${response.statusCode ?? 0} ${text}`));
        },
      );
      request.on('error', reject);
      request.end(body);
    });
  }

  /** How a WebSocket of a client with that certificate begins. */
  function upgrade({ port }: Secure, name: string): Promise<string> {
    return new Promise((resolve) => {
      const socket = new WebSocket(`wss://localhost:${port}/v3/watch`, credentials(name));
      socket.on('open', () => {
        socket.terminate();
        resolve('open');
      });
      socket.on('unexpected-response', (_request, response) => resolve(String(response.statusCode)));
      socket.on('error', () => undefined);
    });
  }

  it('the gateway refuses certificates with a user name, and accepts tokens with other certificates', async () => {
    const seen = await Promise.all(
      servers.map(async (server) => {
        const named = await post(server, 'alice', '/v3/kv/range', '{"key":"Zm9v"}');
        const version = await post(server, 'alice', '/version', '');
        const nobody = await post(server, 'nameless', '/v3/kv/range', '{"key":"Zm9v"}');
        const login = `{"name":"root","password":"${PASSWORD}"}`;
        const { token } = JSON.parse(
          (await post(server, 'nameless', '/v3/auth/authenticate', login)).slice(4),
        ) as {
          token: string;
        };
        const root = await post(server, 'nameless', '/v3/kv/range', '{"key":"Zm9v"}', token);
        const sockets = [await upgrade(server, 'alice'), await upgrade(server, 'nameless')];
        return { named, version: version.slice(0, 3), nobody, root: root.slice(0, 3), sockets };
      }),
    );
    expect(seen[1]).toEqual(seen[0]);
    expect(seen[1]).toMatchObject({ root: '200', sockets: ['400', 'open'] });
  });

  it('the audit log contains their names', async () => {
    const { etcdctl } = servers.find(({ member }) => member.kind === 'keystead') as Secure;
    expect((await etcdctl.run([...files.flags('alice'), 'put', 'of-alice', 'v'])).stderr).toContain(
      'permission denied',
    );
    await etcdctl.ok([...files.flags('alice'), `--user=root:${PASSWORD}`, 'put', 'of-root', 'v']);
    await etcdctl.ok([...files.flags('root'), 'get', 'of-root']);
    const lines = await eventually('lines of the audit log', () => {
      const text = readFileSync(auditPath, 'utf8');
      const found = text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter(({ key }) => String(key).startsWith('of-'));
      return found.length === 3 ? found : undefined;
    });
    expect(lines).toMatchObject([
      { user: 'alice', cn: 'alice', key: 'of-alice', code: 'PermissionDenied' },
      { user: 'root', cn: 'alice', key: 'of-root', code: 'OK' },
      { user: 'root', cn: 'root', method: 'etcdserverpb.KV/Range', key: 'of-root', code: 'OK' },
    ]);
    expect(readFileSync(auditPath, 'utf8')).not.toContain(PASSWORD);
  });
});
