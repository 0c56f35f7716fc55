import { X509Certificate } from 'node:crypto';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
import { isForHost } from '../../tls/host-names.ts';

export interface TlsFiles {
  /** PEM; undefined for a client without a certificate. */
  readonly certificate: Buffer | undefined;
  readonly key: Buffer | undefined;
  /** PEM; undefined means the CAs that Node.js trusts. */
  readonly authorities: Buffer | undefined;
  readonly skipsVerification: boolean;
  /** Whether to use TLS for endpoints without a scheme. */
  readonly isWanted: boolean;
}

/** Converts an endpoint to the target syntax of gRPC. */
export function endpointTarget(endpoint: string): string {
  const [, socket] = /^unixs?:(.+)$/.exec(endpoint) ?? [];
  if (socket !== undefined) {
    if (socket.startsWith('///')) return `unix:${socket}`;
    return `unix:${socket.replace(/^\/\//, '')}`;
  }
  const [, authority] = /^https?:\/\/([^/?#]*)/.exec(endpoint) ?? [];
  return `dns:${authority ?? endpoint}`;
}

export function endpointCredentials(endpoint: string, files: TlsFiles): ChannelCredentials {
  const mustBeSecure = /^(https|unixs):/.test(endpoint);
  const isPlain = /^http:/.test(endpoint) || (!mustBeSecure && !files.isWanted);
  if (isPlain) return credentials.createInsecure();
  return credentials.createSsl(files.authorities, files.key, files.certificate, {
    rejectUnauthorized: !files.skipsVerification,
    checkServerIdentity: (host, { raw }) => {
      const certificate = new X509Certificate(raw);
      if (isForHost(certificate, host)) return undefined;
      return new Error(`certificate is for ${certificate.subjectAltName ?? 'no name'}, not for ${host}`);
    },
  });
}
