import { isIP } from 'node:net';
import type { EarlyLogLine } from './early-log-line.ts';
import { type EndpointUrl, urlTexts } from './urls.ts';

const CALLER = 'config/local-address.ts';

/** The source address of connections to other members, when the feature gate SetMemberLocalAddr is on. */
export interface LocalAddress {
  readonly address: string | undefined;
  readonly lines: readonly EarlyLogLine[];
}

/** As etcd, takes the first advertised peer URL with an IP address that is neither loopback nor unspecified. */
export function localAddress(advertised: readonly EndpointUrl[]): LocalAddress {
  const fields = { 'advertise-peer-urls': urlTexts(advertised) };
  const message = 'searching for a suitable member local address in AdvertisePeerURLs';
  const search: EarlyLogLine = { level: 'info', caller: CALLER, message, fields };
  const address = advertised.map(({ host }) => host).find(isSuitable);
  if (address === undefined) {
    const none = 'unable to set a member local address due to lack of suitable local addresses';
    return { address, lines: [search, { level: 'warn', caller: CALLER, message: none, fields }] };
  }
  const found = 'setting member local address';
  return {
    address,
    lines: [search, { level: 'info', caller: CALLER, message: found, fields: { LocalAddr: address } }],
  };
}

function isSuitable(host: string): boolean {
  const family = isIP(host);
  if (family === 0) return false;
  if (family === 4) return !host.startsWith('127.') && host !== '0.0.0.0';
  const normal = new URL(`http://[${host.replace(/%.*$/, '')}]:1`).hostname;
  return normal !== '[::1]' && normal !== '[::]';
}
