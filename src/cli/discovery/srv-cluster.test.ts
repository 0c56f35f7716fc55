import { promises as systemDns } from 'node:dns';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseUrlList } from '../../config/urls.ts';
import { type Dns, DnsError, SystemDns } from './dns.ts';
import { srvCluster, type SrvCluster } from './srv-cluster.ts';
import { DnsServer } from './testing/dns-server.ts';

const logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
const record = (target: string, port: number, priority = 1) => ({ priority, weight: 1, port, target });

describe('members by SRV records', () => {
  let server: DnsServer;
  let dns: Dns;
  beforeAll(async () => {
    const zone = {
      srv: {
        '_etcd-server._tcp.example.test': [
          record('m2.example.test', 2380, 2),
          record('m1.example.test', 2380),
          record('nowhere.example.test', 2380),
        ],
        '_etcd-server-ssl-blue._tcp.example.test': [
          record('m1.example.test', 2380),
          record('m2.example.test', 1),
        ],
        '_etcd-server-blue._tcp.example.test': [record('m3.example.test', 2380)],
        '_etcd-server._tcp.lost.test': [record('nowhere.example.test', 2380)],
        '_etcd-server._tcp.empty.test': [],
      },
      addresses: {},
    };
    server = await DnsServer.listen(zone, { host: '127.0.0.1', port: 0 });
    const resolver = new systemDns.Resolver({ timeout: 2_000, tries: 2 });
    resolver.setServers([`127.0.0.1:${server.address.port}`]);
    const hosts: Readonly<Record<string, string>> = {
      'm1.example.test': '10.0.0.1',
      'm2.example.test': '10.0.0.2',
      'm3.example.test': '10.0.0.3',
    };
    const real = new SystemDns(resolver);
    dns = {
      services: (name) => real.services(name),
      address: (host) => {
        const address = /^\d/.test(host) ? host : hosts[host];
        if (address !== undefined) return Promise.resolve(address);
        return Promise.reject(new DnsError(`lookup ${host}: no such host`));
      },
    };
  });
  afterAll(() => server.close());

  const find = (
    advertised: string,
    { domain = 'example.test', serviceName = '', name = 'me' } = {},
  ): Promise<SrvCluster> =>
    srvCluster({ name, domain, serviceName, advertised: parseUrlList(advertised), dns, logger });

  it('finds this member by its advertised address, and numbers the others', async () => {
    const { members, fault } = await find('http://10.0.0.2:2380');
    expect(members).toEqual(['0=http://m1.example.test:2380', 'me=http://m2.example.test:2380']);
    expect(fault).toMatch(
      /^error querying DNS SRV records for _etcd-server-ssl lookup _etcd-server-ssl\._tcp\.example\.test on 127\.0\.0\.1:\d+: no such host$/,
    );
  });

  it('combines the records of both services, with their suffix', async () => {
    const { members, fault } = await find('https://m1.example.test:2380', { serviceName: 'blue' });
    expect(fault).toBeUndefined();
    expect(members).toEqual([
      ...['me=https://m1.example.test:2380', '0=https://m2.example.test:1'],
      '0=http://m3.example.test:2380',
    ]);
  });

  it('skips its own record if it has another scheme', async () => {
    const { members } = await find('https://10.0.0.2:2380');
    expect(members).toEqual(['0=http://m1.example.test:2380']);
  });

  it('reports the error if it finds nothing', async () => {
    const { members, fault } = await find('http://10.0.0.2:2380', { domain: 'lost.test' });
    expect(members).toEqual([]);
    expect(fault).toMatch(
      /\nerror querying DNS SRV records for _etcd-server lookup nowhere\.example\.test: no such host$/,
    );
    const own = await find('http://unknown.test:2380');
    expect(own.fault).toBe('lookup unknown.test: no such host\nlookup unknown.test: no such host');
  });
});
