import { afterEach, describe, expect, it } from 'vitest';
import type { MadeCertificate } from '../../src/tls/certificate.ts';
import { PutRequest, RangeRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { serialOf } from '../harness/certificates.ts';
import { serverUnderTest } from '../harness/member.ts';
import type { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';
import { outcome } from '../security/auth-server.ts';
import { TlsTarget } from '../security/tls-target.ts';
import { threadsUnderTest } from './thread-count.ts';

const CLIENTS = 6;
/** Connections after each change. The kernel spreads them over the threads, so nearly always each thread gets some. */
const DIALS = 24;
const ROTATIONS = 4;

/** Puts and gets on connections that stay, and on new ones. */
class Load {
  answers = 0;
  readonly wrong: string[] = [];
  readonly #running: Promise<void>[];
  #isRunning = true;

  constructor(target: TlsTarget) {
    this.#running = Array.from({ length: CLIENTS }, (_, client) => this.#run(target, client % 2 === 0));
  }

  /** Waits for answers that follow what was done so far. */
  async more(): Promise<void> {
    const enough = this.answers + 10 * CLIENTS;
    await eventually('more answers', () => this.wrong.length > 0 || this.answers >= enough);
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await Promise.all(this.#running);
  }

  async #run(target: TlsTarget, stays: boolean): Promise<void> {
    while (this.#isRunning) {
      const client = target.rpc();
      for (let call = 0; this.#continues(stays, call); call += 1) await this.#ask(client, call);
      client.close();
    }
  }

  #continues(stays: boolean, call: number): boolean {
    return this.#isRunning && (stays || call < 10);
  }

  async #ask(client: RpcClient, call: number): Promise<void> {
    const key = Buffer.from('key');
    const answer = outcome(
      call % 2 === 0
        ? await client.unary(KV.methods.put, PutRequest.create({ key, value: Buffer.from('value') }))
        : await client.unary(KV.methods.range, RangeRequest.create({ key })),
    );
    if (answer === 'ok') this.answers += 1;
    else this.wrong.push(answer);
  }
}

describe.skipIf(serverUnderTest === 'etcd').each(['0', threadsUnderTest])(
  'certificates that change under load with %s serving threads',
  (threads) => {
    let target: TlsTarget | undefined;
    let load: Load | undefined;
    afterEach(async () => {
      await load?.stop();
      await target?.destroy();
    });

    async function start(): Promise<{ server: TlsTarget; running: Load }> {
      const server = await TlsTarget.start('certificates-under-load', () => [
        `--keystead-serving-threads=${threads}`,
      ]);
      target = server;
      const running = new Load(server);
      load = running;
      await running.more();
      return { server, running };
    }

    it('are used for each connection after the change, and no request fails', async () => {
      const { server, running } = await start();
      for (let rotation = 0; rotation < ROTATIONS; rotation += 1) {
        const made = server.files.issue('server', { hosts: ['localhost', '127.0.0.1'] });
        expect(new Set(await times(DIALS, () => serialSeen(server)))).toEqual(new Set([serialOf(made)]));
        await running.more();
      }
      expect(running.wrong).toEqual([]);
    }, 60_000);

    it('are refused as soon as they are revoked, and no request of others fails', async () => {
      const { server, running } = await start();
      const revoked: MadeCertificate[] = [];
      for (let rotation = 0; rotation < ROTATIONS; rotation += 1) {
        const made = server.files.authority.issue({ commonName: 'client', hosts: ['client.test'] });
        const isAnswered = () => server.answers(server.clientPort, made);
        expect(new Set(await times(DIALS, isAnswered))).toEqual(new Set([true]));
        revoked.push(made);
        server.files.write('crl', server.files.authority.revoke(...revoked));
        expect(new Set(await times(DIALS, isAnswered))).toEqual(new Set([false]));
        await running.more();
      }
      expect(running.wrong).toEqual([]);
    }, 60_000);
  },
);

function times<T>(count: number, make: () => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, make));
}

/** The serial number of the certificate that the server shows on a new connection. */
async function serialSeen(server: TlsTarget): Promise<string> {
  const socket = server.connect();
  const serial = await new Promise<string>((resolve, reject) => {
    socket.once('secureConnect', () => resolve(socket.getPeerCertificate().serialNumber));
    socket.once('error', reject);
  });
  socket.destroy();
  return serial;
}
