import { readFileSync } from 'node:fs';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { credentials } from '@grpc/grpc-js';
import type { MadeCertificate } from '../../src/tls/certificate.ts';
import { PutRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { Certificates } from '../harness/certificates.ts';
import { Member } from '../harness/member.ts';
import { freePort } from '../harness/ports.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { residentBytes } from '../harness/processes.ts';

export interface Attacker<S extends Socket = Socket> {
  readonly socket: S;
  closed: boolean;
  received: string;
}

/** A member that requires certificates from clients and peers, and connections that try to avoid them. */
export class TlsTarget {
  readonly files: Certificates;
  readonly member: Member;
  readonly peerPort: number;
  readonly client: MadeCertificate;
  readonly #attackers: Socket[] = [];

  private constructor(files: Certificates, member: Member, client: MadeCertificate) {
    this.files = files;
    this.member = member;
    this.peerPort = member.peerPort;
    this.client = client;
  }

  static async start(label: string, flags: (files: Certificates) => readonly string[]): Promise<TlsTarget> {
    const files = new Certificates(label);
    const [clientPort, peerPort] = [await freePort(), await freePort()];
    const healthUrl = `http://127.0.0.1:${await freePort()}`;
    files.issue('server', { hosts: ['localhost', '127.0.0.1'] });
    files.issue('peer', { commonName: 'member', hosts: ['127.0.0.1', 'member.test'] });
    files.write('crl', files.authority.revoke());
    const client = files.issue('client', { commonName: 'client', hosts: ['client.test'], usage: 'client' });
    const [clientUrl, peerUrl] = [`https://127.0.0.1:${clientPort}`, `https://127.0.0.1:${peerPort}`];
    const path = (name: string): string => files.path(name);
    const member = await Member.start({
      kind: 'keystead',
      name: 'm',
      clientPort,
      peerPort,
      healthUrl,
      flags: [
        ...[`--listen-client-urls=${clientUrl}`, `--advertise-client-urls=${clientUrl}`],
        ...[`--listen-peer-urls=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`],
        ...[`--initial-cluster=m=${peerUrl}`, `--listen-metrics-urls=${healthUrl}`],
        ...[`--cert-file=${path('server.crt')}`, `--key-file=${path('server.key')}`],
        ...[`--trusted-ca-file=${path('ca.crt')}`, `--client-crl-file=${path('crl')}`],
        ...[`--peer-cert-file=${path('peer.crt')}`, `--peer-key-file=${path('peer.key')}`],
        ...[`--peer-trusted-ca-file=${path('ca.crt')}`, `--peer-crl-file=${path('crl')}`],
        ...['--client-cert-auth', '--peer-client-cert-auth'],
        ...flags(files),
      ],
    });
    return new TlsTarget(files, member, client);
  }

  get clientPort(): number {
    return this.member.clientPort;
  }

  /** A connection to the client port with a good certificate, unless the options say otherwise. */
  connect(options: ConnectionOptions = {}, port = this.clientPort): TLSSocket {
    const socket = connect({
      host: '127.0.0.1',
      port,
      ca: this.files.authority.certificate,
      cert: this.client.certificate,
      key: this.client.keyPem,
      ...options,
    });
    socket.on('error', () => undefined);
    this.#attackers.push(socket);
    return socket;
  }

  /** What comes back to somebody who sends some text over TLS. */
  attack(
    text: string | Buffer,
    options: ConnectionOptions = {},
    port = this.clientPort,
  ): Attacker<TLSSocket> {
    const attacker = watched(this.connect(options, port));
    attacker.socket.write(text);
    return attacker;
  }

  /** A connection without any TLS. */
  plain(port = this.clientPort): Attacker {
    const socket = connectPlain({ host: '127.0.0.1', port });
    socket.on('error', () => undefined);
    this.#attackers.push(socket);
    return watched(socket);
  }

  /** Whether somebody with that certificate is answered on a port. */
  async answers(
    port: number,
    { certificate, keyPem }: MadeCertificate,
    options: ConnectionOptions = {},
  ): Promise<boolean> {
    const request = 'GET /version HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    const attacker = this.attack(request, { cert: certificate, key: keyPem, ...options }, port);
    await new Promise((resolve) => attacker.socket.once('close', resolve));
    return attacker.received !== '';
  }

  /** An honest client. */
  rpc(): RpcClient {
    const file = (name: string): Buffer => readFileSync(this.files.path(name));
    const security = credentials.createSsl(file('ca.crt'), file('client.key'), file('client.crt'));
    return new RpcClient(`127.0.0.1:${this.clientPort}`, { security });
  }

  get residentBytes(): number {
    return residentBytes(this.member.pid);
  }

  release(): void {
    for (const socket of this.#attackers.splice(0)) socket.destroy();
  }

  async destroy(): Promise<void> {
    this.release();
    await this.member.destroy();
  }
}

function watched<S extends Socket>(socket: S): Attacker<S> {
  const attacker: Attacker<S> = { socket, closed: false, received: '' };
  socket.on('data', (data: Buffer) => {
    attacker.received += data.toString('latin1');
  });
  socket.on('close', () => {
    attacker.closed = true;
  });
  return attacker;
}

const put = PutRequest.create({ key: Buffer.from('honest'), value: Buffer.from('value') });

/** Puts, one after another, of an honest client while something else goes on. Milliseconds of the slowest. */
export async function slowestPutDuring(client: RpcClient, meanwhile: Promise<unknown>): Promise<number> {
  let over = false;
  const end = meanwhile.finally(() => {
    over = true;
  });
  let slowestMs = 0;
  do {
    const startedMs = performance.now();
    const answer = await client.unary(KV.methods.put, put);
    if (!('messages' in answer)) throw new Error(`an honest put failed: ${answer.details}`);
    slowestMs = Math.max(slowestMs, performance.now() - startedMs);
  } while (!over);
  await end;
  return slowestMs;
}
