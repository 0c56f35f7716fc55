import { expect, it } from 'vitest';
import { runSteps } from '../lib/steps.ts';
import { readRevocationList, type SerialNumbers } from './revocation-list.ts';
import { Authority } from './testing/authority.ts';

/** Made by `openssl ca -gencrl`, with times, reasons and extensions. */
const OPENSSL =
  'MIIBAzCBqgIBATAKBggqhkjOPQQDAjANMQswCQYDVQQDDAJjYRcNMjYxMTIxMDE0NzU3WhcNMjYxMTI0MDE0NzU3WjA7MCACAQoXDTIwMDEwMTAwMDAwMFowDDAKBgNVHRUEAwoBATAXAgYAq83vAQIXDTIwMDEwMTAwMDAwMFqgLzAtMB8GA1UdIwQYMBaAFJ2Wj8ol1JPwXyjs2Nu6hcNwUoxsMAoGA1UdFAQDAgEBMAoGCCqGSM49BAMCA0gAMEUCIAKfzIYRAb6UV+blcYdWxdgrlOeyKg6Pk0vOVOoZrU8JAiEAo4KbY6vHaNYVD+9pHBBwSswUhmWKtVay0/VoiKOEDWo=';

const read = (bytes: Buffer): SerialNumbers => runSteps(readRevocationList(bytes));

it('lists made by openssl and by our tests are read', () => {
  const pem = `-----BEGIN X509 CRL-----\n${OPENSSL.replace(/.{64}/g, '$&\n')}\n-----END X509 CRL-----\n`;
  for (const form of [Buffer.from(OPENSSL, 'base64'), Buffer.from(pem)]) {
    const serials = read(form);
    expect(serials.size).toBe(2);
    expect(['A', 'ABCDEF0102', 'B', '02'].map((serial) => serials.has(serial))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  }
  const authority = new Authority();
  const made = [authority.issue({}), authority.issue({})];
  expect(read(authority.revoke(...made)).size).toBe(2);
  expect(read(authority.revoke()).size).toBe(0);
});

it('a truncated list and a list with extra bytes are refused', () => {
  const list = Buffer.from(OPENSSL, 'base64');
  expect(() => read(Buffer.alloc(0))).toThrow();
  expect(() => read(Buffer.concat([list, list]))).toThrow('extra bytes');
  for (let length = 0; length < list.length; length++) expect(() => read(list.subarray(0, length))).toThrow();
});
