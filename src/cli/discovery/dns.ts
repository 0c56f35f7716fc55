import { promises as systemDns } from 'node:dns';
import { isIP } from 'node:net';
import { reasonOf } from '../../lib/text.ts';

/** The target of an SRV record. */
export interface SrvTarget {
  /** Without the trailing dot. */
  readonly host: string;
  readonly port: number;
}

/** The DNS queries that discovery needs. They reject with DnsError. */
export interface Dns {
  /** Returns the targets of the SRV records of a name, sorted by priority. */
  services(name: string): Promise<readonly SrvTarget[]>;
  /** Returns one address of a host, preferably IPv4. An address resolves to itself. */
  address(host: string): Promise<string>;
}

/** A DNS query failed. The message is that of Go. */
export class DnsError extends Error {
  override readonly name = 'DnsError';
}

const TIMEOUT_MS = 5_000;
const TRIES = 2;
const DNS_PORT = 53;

const reasons: Readonly<Record<string, string>> = {
  ENOTFOUND: 'no such host',
  ENODATA: 'no such host',
  ESERVFAIL: 'server misbehaving',
  EREFUSED: 'server misbehaving',
  EAI_AGAIN: 'server misbehaving',
  ETIMEOUT: 'i/o timeout',
};

/** The DNS of the system. Addresses are also read from its hosts file. */
export class SystemDns implements Dns {
  readonly #resolver: systemDns.Resolver;

  constructor(resolver = new systemDns.Resolver({ timeout: TIMEOUT_MS, tries: TRIES })) {
    this.#resolver = resolver;
  }

  async services(name: string): Promise<readonly SrvTarget[]> {
    const records = await this.#query(name, () => this.#resolver.resolveSrv(name));
    return records
      .toSorted((a, b) => a.priority - b.priority || b.weight - a.weight)
      .map(({ name: target, port }) => ({ host: target.replace(/\.$/, ''), port }));
  }

  async address(host: string): Promise<string> {
    if (isIP(host) !== 0) return host;
    const { address } = await this.#query(host, () => systemDns.lookup(host, { verbatim: false }));
    return address;
  }

  async #query<T>(name: string, query: () => Promise<T>): Promise<T> {
    try {
      return await query();
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : '';
      const reason = reasons[code] ?? reasonOf(error);
      throw new DnsError(`lookup ${name}${this.#server()}: ${reason}`, { cause: error });
    }
  }

  #server(): string {
    const server = this.#resolver.getServers()[0];
    if (server === undefined) return '';
    const bare = isIP(server) === 6 ? `[${server}]` : server;
    return isIP(server) === 0 ? ` on ${bare}` : ` on ${bare}:${DNS_PORT}`;
  }
}
