import { expect, it } from 'vitest';
import { revokedSerials } from './revocation-list.ts';
import { Authority } from './testing/authority.ts';

/** Made by `openssl ca -gencrl`, with times, reasons and extensions. */
const OPENSSL =
  'MIIBAzCBqgIBATAKBggqhkjOPQQDAjANMQswCQYDVQQDDAJjYRcNMjYxMTIxMDE0NzU3WhcNMjYxMTI0MDE0NzU3WjA7MCACAQoXDTIwMDEwMTAwMDAwMFowDDAKBgNVHRUEAwoBATAXAgYAq83vAQIXDTIwMDEwMTAwMDAwMFqgLzAtMB8GA1UdIwQYMBaAFJ2Wj8ol1JPwXyjs2Nu6hcNwUoxsMAoGA1UdFAQDAgEBMAoGCCqGSM49BAMCA0gAMEUCIAKfzIYRAb6UV+blcYdWxdgrlOeyKg6Pk0vOVOoZrU8JAiEAo4KbY6vHaNYVD+9pHBBwSswUhmWKtVay0/VoiKOEDWo=';

it('lists made by openssl and by our tests are read', () => {
  expect([...revokedSerials(Buffer.from(OPENSSL, 'base64'))]).toEqual(['A', 'ABCDEF0102']);
  const authority = new Authority();
  const made = [authority.issue({}), authority.issue({})];
  expect(revokedSerials(authority.revoke(...made)).size).toBe(2);
  expect(revokedSerials(authority.revoke()).size).toBe(0);
});

it('a truncated list and a list with extra bytes are refused', () => {
  const list = Buffer.from(OPENSSL, 'base64');
  expect(() => revokedSerials(Buffer.alloc(0))).toThrow();
  expect(() => revokedSerials(Buffer.concat([list, list]))).toThrow('extra bytes');
  for (let length = 0; length < list.length; length++)
    expect(() => revokedSerials(list.subarray(0, length))).toThrow();
});
