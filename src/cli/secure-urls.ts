import type { Config } from '../config/config.ts';
import type { EndpointUrl } from '../config/urls.ts';
import type { TlsEndpoint } from '../tls/tls-endpoint.ts';
import { StartError } from './start-error.ts';

const CERTIFICATE_MISSING = 'TLS key/cert (--cert-file, --key-file) must be provided for';

/** @throws StartError if a client URL needs TLS and no certificate is configured */
export function checkClientUrls(config: Config, tls: TlsEndpoint | undefined): void {
  if (tls !== undefined) return;
  const url = firstSecure([...config.listenClientUrls, ...config.listenClientHttpUrls]);
  if (url !== undefined)
    throw new StartError(`${CERTIFICATE_MISSING} client url ${url.text} with HTTPS scheme`);
  if (firstSecure(config.listenMetricsUrls) !== undefined)
    throw new StartError(`client ${CERTIFICATE_MISSING} metrics secure url`);
  const page = firstSecure(config.statusUrls);
  if (page !== undefined)
    throw new StartError(`${CERTIFICATE_MISSING} status page url ${page.text} with HTTPS scheme`);
}

/** @throws StartError if a peer URL needs TLS and no certificate is configured */
export function checkPeerUrls(config: Config, tls: TlsEndpoint | undefined): void {
  const url = firstSecure(config.listenPeerUrls);
  if (tls !== undefined || url === undefined) return;
  const address = url.text.replace(/^[a-z]+:\/\//, '');
  throw new StartError(`cannot listen on TLS for ${address}: KeyFile and CertFile are not presented`);
}

function firstSecure(urls: readonly EndpointUrl[]): EndpointUrl | undefined {
  return urls.find(({ secure }) => secure);
}
