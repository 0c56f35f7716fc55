import { join } from 'node:path';
import type { SecureVersion } from 'node:tls';
import type { Config, TlsSettings } from '../config/config.ts';
import type { EndpointUrl } from '../config/urls.ts';
import type { Logger } from '../ports/logger.ts';
import { cipherList } from './cipher-list.ts';
import { type Resolver, systemResolver } from './client-address.ts';
import { Credentials, type Handshake } from './credentials.ts';
import { Revocations } from './revocations.ts';
import { selfSignedFiles } from './self-signed.ts';
import { TlsFileError } from './tls-file-error.ts';
import { TlsEndpoint } from './tls-endpoint.ts';

/** How often a revocation list is looked at. */
const REVOCATIONS_REFRESH_MS = 1000;

export interface OpenTlsOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Looks up peers' host names. */
  readonly resolver?: Resolver;
}

/**
 * Opens TLS for clients; undefined if no certificate is configured. Rejects with TlsFileError if a file cannot be
 * used.
 */
export async function openClientTls({ config, logger }: OpenTlsOptions): Promise<TlsEndpoint | undefined> {
  const urls = [...config.listenClientUrls, ...config.listenClientHttpUrls];
  return openEndpoint({
    config,
    logger,
    urls,
    endpoint: 'client',
    settings: config.clientTls,
    resolver: undefined,
    flags: { cert: '--cert-file', key: '--key-file' },
  });
}

/**
 * Opens TLS between members, for both directions; undefined if no certificate is configured. Rejects with
 * TlsFileError.
 */
export async function openPeerTls(options: OpenTlsOptions): Promise<TlsEndpoint | undefined> {
  const { config, logger } = options;
  return openEndpoint({
    config,
    logger,
    endpoint: 'peer',
    urls: config.listenPeerUrls,
    settings: config.peerTls,
    resolver: config.peerTls.skipClientSanVerification ? undefined : (options.resolver ?? systemResolver),
    flags: { cert: '--peer-cert-file', key: '--peer-key-file' },
    // As in etcd: with DNS discovery and no authority of its own, a member must have a certificate for the domain.
    serverName: config.peerTls.trustedCaFile === '' ? config.discoverySrv?.domain : undefined,
  });
}

interface EndpointOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly endpoint: 'client' | 'peer';
  readonly settings: TlsSettings;
  readonly urls: readonly EndpointUrl[];
  readonly resolver: Resolver | undefined;
  readonly flags: { readonly cert: string; readonly key: string };
  readonly serverName?: string | undefined;
}

async function openEndpoint(options: EndpointOptions): Promise<TlsEndpoint | undefined> {
  const { config, logger, endpoint, settings } = options;
  warnOfPlainUrls(options);
  const isSelfSigned = settings.autoTls && settings.certFile === '' && settings.keyFile === '';
  if (settings.autoTls && !isSelfSigned) logger.warn(`ignoring ${endpoint} auto TLS since certs given`);
  const files = isSelfSigned ? await makeFiles(options) : settings;
  if (files.certFile === '' && files.keyFile === '') return undefined;
  checkSettings(options, files);
  const handshake = handshakeOf(config);
  const caFile = settings.trustedCaFile;
  const { certFile, keyFile } = files;
  const server = new Credentials({ certFile, keyFile, caFile }, handshake, logger);
  const hasOwnClient = settings.clientCertFile !== '';
  const clientFiles = { certFile: settings.clientCertFile, keyFile: settings.clientKeyFile, caFile };
  return new TlsEndpoint({
    endpoint,
    logger,
    server,
    isSelfSigned,
    client: hasOwnClient ? new Credentials(clientFiles, handshake, logger) : server,
    requiresClientCertificate: settings.clientCertAuth || caFile !== '',
    allowedCommonNames: settings.allowedCommonNames,
    allowedHostnames: settings.allowedHostnames,
    revocations: settings.crlFile === '' ? undefined : refreshedRevocations(settings.crlFile),
    resolver: options.resolver,
    serverName: options.serverName,
  });
}

/**
 * The certificate of a server is judged within one turn. So the list should have been read when a member connects to
 * another one.
 */
function refreshedRevocations(crlFile: string): Revocations {
  const revocations = new Revocations(crlFile);
  setInterval(() => void revocations.refresh(), REVOCATIONS_REFRESH_MS).unref();
  return revocations;
}

function makeFiles({
  config,
  logger,
  endpoint,
  urls,
}: EndpointOptions): Promise<{ certFile: string; keyFile: string }> {
  return selfSignedFiles({
    directory: join(config.dataDir, 'fixtures', endpoint),
    hosts: urls.map(({ host }) => host).filter((host) => host !== ''),
    validityYears: config.selfSignedCertValidityYears,
    logger,
  });
}

function checkSettings(
  { settings, flags }: EndpointOptions,
  { certFile, keyFile }: { certFile: string; keyFile: string },
): void {
  if (certFile === '') throw new TlsFileError(keyFile, `${flags.key} is given without ${flags.cert}`);
  if (keyFile === '') throw new TlsFileError(certFile, `${flags.cert} is given without ${flags.key}`);
  const { clientCertFile, clientKeyFile } = settings;
  if ((clientCertFile === '') !== (clientKeyFile === ''))
    throw new TlsFileError(
      clientCertFile + clientKeyFile,
      'client certificate and client key must both be given, or none of them',
    );
  if (settings.allowedCommonNames.length > 0 && settings.allowedHostnames.length > 0)
    throw new TlsFileError(certFile, 'allowed common names and allowed hostnames cannot be used together');
}

function handshakeOf({ cipherSuites, tlsMinVersion, tlsMaxVersion }: Config): Handshake {
  return {
    ciphers: cipherList(cipherSuites),
    minVersion: versionOf(tlsMinVersion) ?? 'TLSv1.2',
    maxVersion: versionOf(tlsMaxVersion) ?? 'TLSv1.3',
  };
}

function versionOf(flag: string): SecureVersion | undefined {
  if (flag === 'TLS1.2') return 'TLSv1.2';
  return flag === 'TLS1.3' ? 'TLSv1.3' : undefined;
}

/** Warns of http URLs when certificates are given, because these may be a mistake. */
function warnOfPlainUrls({ logger, endpoint, settings, urls }: EndpointOptions): void {
  const unix = endpoint === 'client' ? ' or unix' : '';
  for (const url of urls.filter(({ secure }) => !secure)) {
    const fields = { [`${endpoint}-url`]: url.text };
    if (settings.certFile !== '' || settings.keyFile !== '')
      logger.warn(
        `scheme is http${unix} while key and cert files are present; ignoring key and cert files`,
        fields,
      );
    if (settings.clientCertAuth)
      logger.warn(
        `scheme is http${unix} while client cert auth is enabled; ignoring it for this URL`,
        fields,
      );
  }
}
