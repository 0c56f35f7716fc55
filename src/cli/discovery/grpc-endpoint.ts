import { X509Certificate } from 'node:crypto';
import {
  type ChannelCredentials,
  type Client,
  credentials,
  type Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { isForHost } from '../../tls/host-names.ts';
import type { MessageCodec } from '../../wire/codec.ts';
import { errors } from '../../wire/errors.ts';

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

/** A unary method of a service. */
export interface Method<Q, R> {
  readonly path: string;
  readonly request: MessageCodec<Q>;
  readonly response: MessageCodec<R>;
}

export interface CallOptions {
  readonly metadata: Metadata;
  readonly timeoutMs: number;
}

/** Rejects with gRPC's ServiceError. */
export function callUnary<Q, R>(
  client: Client,
  method: Method<Q, R>,
  request: Q,
  { metadata, timeoutMs }: CallOptions,
): Promise<R> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      method.path,
      (message: Q) => method.request.encode(message),
      (bytes: Buffer) => method.response.decode(bytes),
      request,
      metadata,
      { deadline: Date.now() + timeoutMs },
      (error, response) => {
        if (error === null && response !== undefined) resolve(response);
        else reject(error ?? new Error('an empty response'));
      },
    );
  });
}

export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error;
}

/** Whether a login failed because the server has authentication turned off. */
export function isAuthOff(error: unknown): boolean {
  return error instanceof Error && error.message.includes(errors.AuthNotEnabled.message);
}
