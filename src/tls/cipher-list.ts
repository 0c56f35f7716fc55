import { cipherSuites } from '../config/cipher-suites.ts';

/** TLS 1.3 suites cannot be configured, as in Go. All are offered, the fastest on current processors first. */
const TLS13 = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];

/** Go's default suites for TLS 1.2, in its order. */
const DEFAULT_TLS12 = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-SHA',
  'ECDHE-RSA-AES128-SHA',
  'ECDHE-ECDSA-AES256-SHA',
  'ECDHE-RSA-AES256-SHA',
];

/** OpenSSL's cipher list for suites with IANA names. Suites that OpenSSL does not have are left out. */
export function cipherList(names: readonly string[]): string {
  const given = names.map((name) => cipherSuites[name]).filter((name) => name !== undefined);
  const tls12 = names.length === 0 ? DEFAULT_TLS12 : given.filter((name) => !name.startsWith('TLS_'));
  return [...TLS13, ...new Set(tls12)].join(':');
}
