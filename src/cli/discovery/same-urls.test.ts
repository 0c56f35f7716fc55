import { isIP } from 'node:net';
import { expect, it } from 'vitest';
import { type Dns, DnsError } from './dns.ts';
import { urlDifference } from './same-urls.ts';

const hosts: Readonly<Record<string, string>> = { a: '10.0.0.1', b: '10.0.0.2', six: 'fd00::1' };
const dns: Dns = {
  services: () => Promise.resolve([]),
  address: (host) => {
    const address = isIP(host) === 0 ? hosts[host] : host;
    return address === undefined
      ? Promise.reject(new DnsError(`lookup ${host}: no such host`))
      : Promise.resolve(address);
  },
};

it.each([
  [['http://a:1'], ['http://a:1'], undefined],
  [['http://b:1', 'http://a:1'], ['http://10.0.0.1:1', 'http://10.0.0.2:1'], undefined],
  [['http://[FD00:0::1]:1'], ['http://[fd00::1]:1'], undefined],
  [['http://six:1'], ['http://[fd00::1]:1'], undefined],
  [['unix://x:1'], ['unix://x:1'], undefined],
  [['http://a:1'], ['http://a:1', 'http://b:1'], 'len(["http://a:1"]) != len(["http://a:1" "http://b:1"])'],
  [['http://a:1'], ['https://a:1'], 'resolved urls: "http://10.0.0.1:1" != "https://10.0.0.1:1"'],
  [['http://a:1'], ['http://a:2'], 'resolved urls: "http://10.0.0.1:1" != "http://10.0.0.1:2"'],
  [
    ['http://localhost:1'],
    ['http://127.0.0.1:1'],
    'resolved urls: "http://localhost:1" != "http://127.0.0.1:1"',
  ],
  [['http://a:1'], ['http://c:1'], 'failed to resolve "http://c:1" (lookup c: no such host)'],
])('%j and %j', async (ours, theirs, difference) => {
  expect(await urlDifference(ours, theirs, { dns, timeoutMs: 0 })).toBe(difference);
});
