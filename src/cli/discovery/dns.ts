import { promises as systemDns } from 'node:dns';
import { isIP } from 'node:net';
import { reasonOf } from '../../lib/text.ts';

/** A host and port that an SRV record points to. */
export interface ServicePlace {
  /** Without the trailing dot. */
  readonly host: string;
  readonly port: number;
}

/** The domain name system, as far as finding members takes it. Rejects with DnsError. */
export interface Dns {
  /** What the SRV records of a name point to, by priority. */
  services(name: string): Promise<readonly ServicePlace[]>;
  /** One address of a host, of IPv4 where it has one; an address is its own. */
  address(host: string): Promise<string>;
}

/** A name could not be looked up; the message is worded as Go words it. */
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

/** The system's own: its resolver, and its hosts file before that. */
export class SystemDns implements Dns {
  readonly #resolver: systemDns.Resolver;

  constructor(resolver = new systemDns.Resolver({ timeout: TIMEOUT_MS, tries: TRIES })) {
    this.#resolver = resolver;
  }

  async services(name: string): Promise<readonly ServicePlace[]> {
    const records = await this.#ask(name, () => this.#resolver.resolveSrv(name));
    return records
      .toSorted((a, b) => a.priority - b.priority || b.weight - a.weight)
      .map(({ name: target, port }) => ({ host: target.replace(/\.$/, ''), port }));
  }

  async address(host: string): Promise<string> {
    if (isIP(host) !== 0) return host;
    const { address } = await this.#ask(host, () => systemDns.lookup(host, { verbatim: false }));
    return address;
  }

  async #ask<T>(name: string, question: () => Promise<T>): Promise<T> {
    try {
      return await question();
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
