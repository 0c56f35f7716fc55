import { mkdtempSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { request } from 'node:https';
import { connect as connectPlainly, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type ConnectionOptions, type Server, type TLSSocket } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Config, TlsSettings } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { GrpcServer } from '../grpc/server.ts';
import { PeerServer } from '../peer/server.ts';
import type { LogFields, Logger } from '../ports/logger.ts';
import { alternativeNames, isForHost } from './host-names.ts';
import { cipherList } from './cipher-list.ts';
import type { Resolver } from './client-address.ts';
import { openClientTls, openPeerTls } from './open-tls.ts';
import { Authority, type IssueOptions } from './testing/authority.ts';
import { Revocations } from './revocations.ts';
import { HANDSHAKE_TIMEOUT_MS, type TlsEndpoint } from './tls-endpoint.ts';

const NO_TLS: TlsSettings = {
  certFile: '',
  keyFile: '',
  clientCertFile: '',
  clientKeyFile: '',
  clientCertAuth: false,
  trustedCaFile: '',
  crlFile: '',
  allowedCommonNames: [],
  allowedHostnames: [],
  autoTls: false,
  skipClientSanVerification: false,
};

const authority = new Authority();
const stranger = new Authority('stranger');
const noNames: Resolver = { names: () => Promise.resolve([]), addresses: () => Promise.resolve([]) };
let directory: string;
let base: Config;
let lines: { message: string; fields: LogFields | undefined }[];
const cleanups: (() => void)[] = [];

const log = (message: string, fields?: LogFields): void => void lines.push({ message, fields });
const logger: Logger = { debug: log, info: log, warn: log, error: log };

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keystead-tls-'));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  lines = [];
  const loaded = await loadConfig({ args: [], environment: {} });
  if (loaded.kind !== 'ready') throw new Error(loaded.kind);
  base = loaded.config;
});

afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

function file(name: string, content: string | Buffer): string {
  const path = join(directory, name);
  // Replaced by a rename, as is usual when certificates are rotated.
  writeFileSync(`${path}.new`, content);
  renameSync(`${path}.new`, path);
  return path;
}

function issueFiles(name: string, options: IssueOptions = {}): { certFile: string; keyFile: string } {
  const made = authority.issue({ hosts: ['localhost', '127.0.0.1'], ...options });
  return {
    certFile: file(`${name}.crt`, made.certificate),
    keyFile: file(`${name}.key`, made.keyPem),
  };
}

function withSettings(settings: Partial<TlsSettings>, more: Partial<Config> = {}): Config {
  const tls = { ...NO_TLS, ...settings };
  return { ...base, dataDir: directory, clientTls: tls, peerTls: tls, ...more };
}

async function open(
  kind: 'client' | 'peer',
  settings: Partial<TlsSettings>,
  more?: Partial<Config>,
  resolver: Resolver = noNames,
): Promise<TlsEndpoint> {
  const options = { config: withSettings(settings, more), logger, resolver };
  const endpoint = await (kind === 'client' ? openClientTls(options) : openPeerTls(options));
  if (endpoint === undefined) throw new Error('no TLS');
  return endpoint;
}

/** Sends "hello" to each admitted connection. */
async function listen(endpoint: TlsEndpoint): Promise<number> {
  const server: Server = endpoint.createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(`hello`);
  });
  cleanups.push(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

interface Outcome {
  readonly text: string;
  readonly error: Error | undefined;
  readonly certificate: string;
  readonly isReused: boolean;
}

function dial(port: number, options: ConnectionOptions = {}): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = connect({
      host: '127.0.0.1',
      servername: 'localhost',
      ca: authority.certificate,
      port,
      ...options,
    });
    let text = '';
    let certificate = '';
    let isReused = false;
    let error: Error | undefined;
    socket.on('secureConnect', () => {
      isReused = socket.isSessionReused();
      certificate = socket.getPeerX509Certificate()?.serialNumber ?? '';
    });
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.on('error', (fault: Error) => (error = fault));
    socket.on('close', () => resolve({ text, error, certificate, isReused }));
  });
}

const refusals = (): unknown[] =>
  lines.filter(({ message }) => message.startsWith('rejected')).map(({ fields }) => fields?.['error']);

describe('listeners', () => {
  it('accept clients without a certificate unless an authority is configured', async () => {
    const open1 = await listen(await open('client', issueFiles('server')));
    expect((await dial(open1)).text).toBe('hello');
    const settings = { ...issueFiles('server'), trustedCaFile: file('ca.crt', authority.certificate) };
    const strict = await listen(await open('client', settings));
    const anonymous = await dial(strict);
    expect(anonymous.text).toBe('');
    const refused = lines.find(({ message }) => message.startsWith('rejected'));
    expect(refused?.message).toBe('rejected connection on client endpoint');
    expect(refused?.fields).toMatchObject({
      'server-name': 'localhost',
      error: "tls: client didn't provide a certificate",
    });
    expect(refused?.fields?.['remote-addr']).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  it('answer a client without a certificate with the alert for that, as Go does', async () => {
    const settings = { ...issueFiles('server'), trustedCaFile: file('ca.crt', authority.certificate) };
    const port = await listen(await open('client', settings));
    const alertOf = async (maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<unknown> => {
      const { error, text } = await dial(port, { maxVersion });
      expect(text).toBe('');
      return error !== undefined && 'code' in error ? error.code : 'none';
    };
    expect(await alertOf('TLSv1.3')).toMatch(/ALERT_CERTIFICATE_REQUIRED$/);
    expect(await alertOf('TLSv1.2')).toMatch(/ALERT_HANDSHAKE_FAILURE$/);
    const reason = "tls: client didn't provide a certificate";
    expect(refusals()).toEqual([reason, reason]);
  });

  it('refuse certificates that are of a wrong authority, expired, or only for servers', async () => {
    const settings = { ...issueFiles('server'), trustedCaFile: file('ca.crt', authority.certificate) };
    const port = await listen(await open('client', settings));
    const present = async (by: Authority, options: IssueOptions): Promise<string> => {
      const { certificate, keyPem } = by.issue(options);
      return (await dial(port, { cert: certificate, key: keyPem })).text;
    };
    expect(await present(authority, { commonName: 'a' })).toBe('hello');
    expect(await present(authority, { usage: 'client' })).toBe('hello');
    expect(await present(stranger, { commonName: 'a' })).toBe('');
    expect(await present(authority, { days: -1 })).toBe('');
    expect(await present(authority, { usage: 'server' })).toBe('');
    expect(refusals()).toHaveLength(3);
    const words = 'tls: failed to verify certificate: x509: certificate';
    expect(refusals()).toEqual([
      `${words} signed by unknown authority`,
      `${words} has expired or is not yet valid`,
      `${words} specifies an incompatible key usage`,
    ]);
  });

  it('accept a certificate with the subject of its authority, and refuse one that it did not sign', async () => {
    const settings = { ...issueFiles('server'), trustedCaFile: file('ca.crt', authority.certificate) };
    const port = await listen(await open('client', settings));
    const present = async (by: Authority, options: IssueOptions): Promise<string> => {
      const { certificate, keyPem } = by.issue({ commonName: 'test authority', ...options });
      return (await dial(port, { cert: certificate, key: keyPem })).text;
    };
    expect(await present(authority, {})).toBe('hello');
    expect(await present(authority, { usage: 'client' })).toBe('hello');
    expect(await present(authority, { usage: 'server' })).toBe('');
    expect(await present(authority, { days: -1 })).toBe('');
    // Another authority of that name.
    expect(await present(new Authority(), {})).toBe('');
    expect(refusals()).toHaveLength(3);
  });

  it('admit only clients with allowed common names or host names', async () => {
    const trusted = { ...issueFiles('server'), trustedCaFile: file('ca.crt', authority.certificate) };
    const byName = await listen(await open('peer', { ...trusted, allowedCommonNames: ['a', 'b'] }));
    const byHost = await listen(
      await open('client', { ...trusted, allowedHostnames: ['x.test', '10.0.0.1'] }),
    );
    const present = async (port: number, options: IssueOptions): Promise<boolean> => {
      const { certificate, keyPem } = authority.issue(options);
      return (await dial(port, { cert: certificate, key: keyPem })).text === 'hello';
    };
    expect(await present(byName, { commonName: 'b' })).toBe(true);
    expect(await present(byName, { commonName: 'B' })).toBe(false);
    expect(await present(byName, {})).toBe(false);
    expect(await present(byHost, { hosts: ['*.test'] })).toBe(true);
    expect(await present(byHost, { hosts: ['10.0.0.1'] })).toBe(true);
    expect(await present(byHost, { commonName: 'x.test' })).toBe(false);
    expect(await present(byHost, { hosts: ['a.x.test', '10.0.0.2'] })).toBe(false);
    expect(refusals()).toContain('client certificate authentication failed');
  });

  it('check that the certificate of a peer matches its address', async () => {
    const trusted = { ...issueFiles('server'), trustedCaFile: file('ca.crt', authority.certificate) };
    const resolver: Resolver = {
      names: () => Promise.resolve(['a.members.test.']),
      addresses: (name) =>
        name === 'b.test' ? Promise.resolve(['127.0.0.1']) : Promise.reject(new Error('no such host')),
    };
    const port = await listen(await open('peer', trusted, {}, resolver));
    const lax = await listen(
      await open('peer', { ...trusted, skipClientSanVerification: true }, {}, resolver),
    );
    const present = async (to: number, options: IssueOptions): Promise<boolean> => {
      const { certificate, keyPem } = authority.issue(options);
      return (await dial(to, { cert: certificate, key: keyPem })).text === 'hello';
    };
    expect(await present(port, { commonName: 'no names at all' })).toBe(true);
    expect(await present(port, { hosts: ['127.0.0.1'] })).toBe(true);
    expect(await present(port, { hosts: ['10.0.0.1'] })).toBe(false);
    expect(await present(port, { hosts: ['a.members.test'] })).toBe(true);
    expect(await present(port, { hosts: ['*.members.test'] })).toBe(true);
    expect(await present(port, { hosts: ['10.0.0.1', 'b.test'] })).toBe(true);
    expect(await present(port, { hosts: ['c.test'] })).toBe(false);
    expect(refusals()).toEqual([
      'x509: certificate is valid for 10.0.0.1, not 127.0.0.1',
      'tls: "127.0.0.1" does not match any of DNSNames ["c.test"] (no such host)',
    ]);
    expect(await present(lax, { hosts: ['c.test'] })).toBe(true);
  });

  it('refuse revoked certificates, with the current list', async () => {
    const [good, bad] = [authority.issue({ commonName: 'good' }), authority.issue({ commonName: 'bad' })];
    const crlFile = file('crl', authority.revoke());
    const settings = {
      ...issueFiles('server'),
      trustedCaFile: file('ca.crt', authority.certificate),
      crlFile,
    };
    const port = await listen(await open('client', settings));
    const present = async ({ certificate, keyPem }: typeof good): Promise<boolean> =>
      (await dial(port, { cert: certificate, key: keyPem })).text === 'hello';
    expect([await present(good), await present(bad)]).toEqual([true, true]);
    file('crl', authority.revoke(bad));
    expect([await present(good), await present(bad)]).toEqual([true, false]);
    expect(String(refusals()[0])).toMatch(/^certificate serial [0-9a-f]+ revoked$/);
    const der = authority.revoke(good).toString('base64');
    file('crl', `-----BEGIN X509 CRL-----\n${der}\n-----END X509 CRL-----\n`);
    expect([await present(good), await present(bad)]).toEqual([false, true]);
    file('crl', 'damaged');
    expect([await present(good), await present(bad)]).toEqual([false, false]);
    unlinkSync(crlFile);
    expect(await present(good)).toBe(false);
  });

  it('do not resume sessions, because the certificate would not be checked again', async () => {
    const settings = { ...issueFiles('server'), trustedCaFile: file('ca.crt', authority.certificate) };
    const port = await listen(await open('client', settings));
    const { certificate, keyPem } = authority.issue({});
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      let session: Buffer | undefined;
      const socket = connect({
        host: 'localhost',
        port,
        ca: authority.certificate,
        cert: certificate,
        key: keyPem,
        maxVersion,
      });
      socket.on('session', (given) => (session = given));
      socket.resume();
      await new Promise((resolve) => socket.on('close', resolve));
      const again = await dial(port, {
        cert: certificate,
        key: keyPem,
        maxVersion,
        ...(session && { session }),
      });
      expect([again.text, again.isReused]).toEqual(['hello', false]);
    }
  });

  it('use the configured versions and cipher suites', async () => {
    const files = issueFiles('server');
    const old = await listen(
      await open('client', files, {
        tlsMaxVersion: 'TLS1.2',
        cipherSuites: ['TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'TLS_RSA_WITH_RC4_128_SHA'],
      }),
    );
    const fresh = await listen(await open('client', files, { tlsMinVersion: 'TLS1.3' }));
    const spoken = async (port: number, options: ConnectionOptions): Promise<string> =>
      new Promise((resolve) => {
        const socket = connect({ host: 'localhost', port, ca: authority.certificate, ...options });
        socket.on('secureConnect', () => {
          resolve(`${socket.getProtocol() ?? ''} ${socket.getCipher().name}`);
          socket.destroy();
        });
        socket.on('error', () => resolve('refused'));
      });
    expect(await spoken(old, {})).toBe('TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384');
    expect(await spoken(old, { ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' })).toBe('refused');
    expect(await spoken(old, { minVersion: 'TLSv1.3' })).toBe('refused');
    expect(await spoken(fresh, {})).toBe('TLSv1.3 TLS_AES_128_GCM_SHA256');
    expect(await spoken(fresh, { maxVersion: 'TLSv1.2' })).toBe('refused');
    expect(await spoken(fresh, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1' })).toBe('refused');
    expect(cipherList(['TLS_RSA_WITH_RC4_128_SHA'])).not.toContain('ECDHE');
  });
});

describe('rotation', () => {
  it('use changed certificates, keys and authorities for the next handshake', async () => {
    const trustedCaFile = file('ca.crt', authority.certificate);
    const port = await listen(await open('client', { ...issueFiles('server'), trustedCaFile }));
    const { certificate, keyPem } = authority.issue({});
    const client = { cert: certificate, key: keyPem };
    const first = await dial(port, client);
    issueFiles('server');
    const second = await dial(port, client);
    expect([first.text, second.text]).toEqual(['hello', 'hello']);
    expect(second.certificate).not.toBe(first.certificate);
    file('ca.crt', stranger.certificate);
    expect((await dial(port, client)).text).toBe('');
    const other = stranger.issue({});
    expect((await dial(port, { cert: other.certificate, key: other.keyPem })).text).toBe('hello');
  });

  it('keep the old files while changed ones are missing or do not match, and log it once', async () => {
    const files = issueFiles('server');
    const port = await listen(await open('client', files));
    const first = await dial(port);
    const next = authority.issue({ hosts: ['localhost'] });
    file('server.crt', next.certificate);
    expect((await dial(port)).certificate).toBe(first.certificate);
    expect((await dial(port)).certificate).toBe(first.certificate);
    const faults = lines.filter(({ message }) => message.startsWith('changed TLS files'));
    expect(faults).toHaveLength(1);
    expect(faults[0]?.fields?.['error']).toBe(
      `${files.keyFile}: the private key does not belong to the certificate in ${files.certFile}`,
    );
    file('server.key', next.keyPem);
    expect((await dial(port)).certificate).not.toBe(first.certificate);
    unlinkSync(files.keyFile);
    expect((await dial(port)).text).toBe('hello');
  });
});

describe('errors name the file that cannot be used', () => {
  const fault = async (settings: Partial<TlsSettings>): Promise<string> => {
    const error: unknown = await openClientTls({ config: withSettings(settings), logger }).catch(
      (e: unknown) => e,
    );
    return error instanceof Error ? error.message.replaceAll(directory, '') : 'opened';
  };

  it('certificates and keys', async () => {
    const files = issueFiles('server');
    const text = file('text', 'not PEM');
    expect(await fault({ ...files, certFile: join(directory, 'gone') })).toBe(
      '/gone: no such file or directory',
    );
    expect(await fault({ ...files, certFile: directory })).toBe(': is a directory');
    expect(await fault({ ...files, certFile: text })).toMatch(/^\/text: no certificate in PEM form/);
    expect(await fault({ ...files, keyFile: text })).toMatch(/^\/text: no private key in PEM form/);
    expect(await fault({ ...files, keyFile: issueFiles('other').keyFile })).toBe(
      '/other.key: the private key does not belong to the certificate in /server.crt',
    );
    expect(await fault({ certFile: files.certFile })).toBe(
      '/server.crt: --cert-file is given without --key-file',
    );
    expect(await fault({ ...files, clientCertFile: files.certFile })).toMatch(/must both be given/);
  });

  it('authorities and revocation lists', async () => {
    const files = issueFiles('server');
    const text = file('text', 'not PEM');
    const cut = file('cut', authority.certificate.replace(/\n[^-\n]+\n/, '\n'));
    expect(await fault({ ...files, trustedCaFile: text })).toBe('/text: no certificate in PEM form');
    expect(await fault({ ...files, trustedCaFile: cut })).toMatch(
      /^\/cut: a certificate that cannot be read/,
    );
    expect(await fault({ ...files, crlFile: text })).toMatch(/^\/text: not a certificate revocation list/);
    expect(await fault({ ...files, crlFile: join(directory, 'gone') })).toBe(
      '/gone: no such file or directory',
    );
  });
});

describe('auto TLS', () => {
  it('makes a certificate once, for the listen addresses, and trusts those of other members', async () => {
    const auto = { autoTls: true };
    const endpoint = await open('peer', auto, { selfSignedCertValidityYears: 2 });
    const port = await listen(endpoint);
    const certFile = join(directory, 'fixtures/peer/cert.pem');
    expect(statSync(join(directory, 'fixtures/peer/key.pem')).mode & 0o777).toBe(0o600);
    const first = await dial(port, endpoint.connectOptions());
    expect(first.text).toBe('hello');
    const again = await listen(await open('peer', auto));
    expect((await dial(again, endpoint.connectOptions())).certificate).toBe(first.certificate);
    const certificate = new X509Certificate((await import('node:fs')).readFileSync(certFile));
    expect(certificate.subject).toBe('O=etcd');
    expect(alternativeNames(certificate)).toEqual({ dns: ['localhost'], addresses: [] });
    const days = (Date.parse(certificate.validTo) - Date.now()) / (24 * 3_600_000);
    expect(Math.round(days)).toBe(730);
    expect((await dial(port)).text).toBe('');
  });

  it('is ignored if files are given', async () => {
    await open('client', { ...issueFiles('server'), autoTls: true });
    expect(lines.map(({ message }) => message)).toContain('ignoring client auto TLS since certs given');
  });
});

describe('outgoing connections', () => {
  it('present their own certificate and check the server name', async () => {
    const trustedCaFile = file('ca.crt', authority.certificate);
    const server = await open('peer', {
      ...issueFiles('server'),
      trustedCaFile,
      skipClientSanVerification: true,
    });
    const port = await listen(server);
    const own = issueFiles('client', { commonName: 'client', usage: 'client' });
    const endpoint = await open('peer', {
      ...issueFiles('server'),
      trustedCaFile,
      clientCertFile: own.certFile,
      clientKeyFile: own.keyFile,
    });
    const to = (servername: string): Promise<Outcome> =>
      dial(port, { ...endpoint.connectOptions(), servername });
    expect((await to('localhost')).text).toBe('hello');
    expect((await to('elsewhere.test')).error?.message).toMatch(/not valid for elsewhere.test/);
    const before = endpoint.connectOptions().secureContext;
    expect(endpoint.connectOptions().secureContext).toBe(before);
    issueFiles('client', { commonName: 'next', usage: 'client' });
    expect(endpoint.connectOptions().secureContext).not.toBe(before);
    expect((await to('localhost')).text).toBe('hello');
  });

  it('refuse servers whose certificate or issuer is revoked', async () => {
    const trustedCaFile = file('ca.crt', authority.certificate);
    const made = authority.issue({ hosts: ['localhost'] });
    const shown = { certFile: file('shown.crt', made.certificate), keyFile: file('shown.key', made.keyPem) };
    const port = await listen(
      await open('peer', { ...shown, trustedCaFile, skipClientSanVerification: true }),
    );
    const crlFile = file('peer-crl', authority.revoke());
    const endpoint = await open('peer', { ...issueFiles('own'), trustedCaFile, crlFile });
    const to = (): Promise<Outcome> => dial(port, { ...endpoint.connectOptions(), servername: 'localhost' });
    expect((await to()).text).toBe('hello');
    file('peer-crl', authority.revoke(made));
    expect((await to()).error?.message).toMatch(/^certificate serial [0-9a-f]+ revoked$/);
    file('peer-crl', authority.revoke(authority));
    expect((await to()).error?.message).toMatch(/^certificate serial [0-9a-f]+ revoked$/);
  });

  it('find that the revocation list is read each second', async () => {
    vi.useFakeTimers({ toFake: ['setInterval'] });
    const refresh = vi.spyOn(Revocations.prototype, 'refresh');
    try {
      const trustedCaFile = file('ca.crt', authority.certificate);
      const crlFile = file('read-crl', authority.revoke());
      await open('peer', { ...issueFiles('own'), trustedCaFile, crlFile });
      vi.advanceTimersByTime(2000);
      expect(refresh).toHaveBeenCalledTimes(2);
    } finally {
      vi.useRealTimers();
      refresh.mockRestore();
    }
  });

  it('accept only servers with allowed common names', async () => {
    const trustedCaFile = file('ca.crt', authority.certificate);
    const settings = { ...issueFiles('member', { commonName: 'member' }), trustedCaFile };
    const endpoint = await open('peer', { ...settings, allowedCommonNames: ['member'] });
    const impostor = await open('peer', {
      ...issueFiles('impostor', { commonName: 'other' }),
      trustedCaFile,
    });
    expect((await dial(await listen(endpoint), endpoint.connectOptions())).text).toBe('hello');
    const refused = await dial(await listen(impostor), endpoint.connectOptions());
    expect(refused.error?.message).toBe('client certificate authentication failed');
  });

  it('plain HTTP is served behind a TLS server', async () => {
    const http = createHttpServer((_request, response) => response.end('served'));
    const endpoint = await open('client', issueFiles('server'));
    const server = endpoint.createServer((socket) => http.emit('connection', socket));
    cleanups.push(() => server.close());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const options = {
      host: '127.0.0.1',
      port,
      servername: 'localhost',
      ca: authority.certificate,
      agent: false,
    };
    const body = await new Promise<string>((resolve, reject) => {
      const asked = request(options, (response) => {
        response.on('data', (chunk: Buffer) => resolve(chunk.toString()));
      });
      asked.on('error', reject).end();
    });
    expect(body).toBe('served');
  });
});

it('a gRPC listener uses the checks', async () => {
  const trustedCaFile = file('ca.crt', authority.certificate);
  const endpoint = await open('client', {
    ...issueFiles('server'),
    trustedCaFile,
    allowedHostnames: ['ok.test'],
  });
  const grpc = new GrpcServer({ maxReceiveBytes: 1024, logger });
  cleanups.push(() => grpc.close());
  const port = await grpc.listen({ host: '127.0.0.1', port: 0, tls: endpoint.options, guard: endpoint });
  const present = (hosts: string[], by = authority): Promise<Outcome> => {
    const { certificate, keyPem } = by.issue({ hosts });
    const dialled = dial(port, { cert: certificate, key: keyPem, ALPNProtocols: ['h2'] });
    return dialled;
  };
  await present(['other.test']);
  await present(['ok.test'], stranger);
  expect(refusals()).toHaveLength(2);
  const { certificate, keyPem } = authority.issue({ hosts: ['ok.test'] });
  const socket = connect({
    host: '127.0.0.1',
    servername: 'localhost',
    port,
    ca: authority.certificate,
    cert: certificate,
    key: keyPem,
    ALPNProtocols: ['h2'],
  });
  cleanups.push(() => socket.destroy());
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
  const answer = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
  // A SETTINGS frame.
  expect(answer[3]).toBe(4);
});

it('a connection that is admitted after the server closed is closed', async () => {
  let look = (): void => undefined;
  const asked = new Promise<void>((resolve) => (look = resolve));
  let answer: (names: readonly string[]) => void = () => undefined;
  const resolver: Resolver = {
    names: () => {
      look();
      return new Promise((resolve) => (answer = resolve));
    },
    addresses: () => Promise.resolve([]),
  };
  const trusted = { ...issueFiles('server'), trustedCaFile: file('ca.crt', authority.certificate) };
  const endpoint = await open('peer', trusted, {}, resolver);
  const served: TLSSocket[] = [];
  const server = endpoint.createServer((socket) => served.push(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { certificate, keyPem } = authority.issue({ hosts: ['a.test'] });
  const dialled = dial((server.address() as AddressInfo).port, { cert: certificate, key: keyPem });
  await asked;
  const closed = new Promise((resolve) => server.close(resolve));
  answer(['a.test']);
  await closed;
  await dialled;
  expect(served).toEqual([]);
});

it('a connection without a handshake does not keep a peer listener open', async () => {
  const server = new PeerServer({ handler: () => undefined, tls: await open('peer', issueFiles('server')) });
  const port = await server.listen({ host: '127.0.0.1', port: 0, secure: true });
  const dialled = (): { socket: Socket; closed: Promise<unknown> } => {
    const socket = connectPlainly({ host: '127.0.0.1', port });
    socket.on('error', () => undefined);
    return { socket, closed: new Promise((resolve) => socket.once('close', resolve)) };
  };
  const silent = dialled();
  await new Promise((resolve) => silent.socket.once('connect', resolve));
  // A later connection is refused. So the listener has accepted the silent one by now.
  const refused = dialled();
  refused.socket.end('this is no handshake');
  refused.socket.resume();
  await refused.closed;
  const began = performance.now();
  await server.close();
  await silent.closed;
  expect(performance.now() - began).toBeLessThan(HANDSHAKE_TIMEOUT_MS / 2);
}, 30_000);

it('host names match as in Go', () => {
  const certificate = (...hosts: string[]): X509Certificate =>
    new X509Certificate(authority.issue({ hosts, commonName: 'cn.test' }).certificate);
  expect(isForHost(certificate('*.a.test'), 'b.a.test')).toBe(true);
  expect(isForHost(certificate('*.a.test'), 'c.b.a.test')).toBe(false);
  expect(isForHost(certificate('*.a.test'), 'a.test')).toBe(false);
  expect(isForHost(certificate('a.test'), 'A.TEST')).toBe(true);
  expect(isForHost(certificate('a.test'), 'a.test.')).toBe(true);
  expect(isForHost(certificate(), 'cn.test')).toBe(false);
  expect(isForHost(certificate('127.0.0.1'), '127.0.0.1')).toBe(true);
  expect(isForHost(certificate('::1'), '[::1]')).toBe(true);
  expect(isForHost(certificate('a.test'), '127.0.0.1')).toBe(false);
});
