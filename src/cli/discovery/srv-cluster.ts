import type { EndpointUrl } from '../../config/urls.ts';
import { reasonOf } from '../../lib/text.ts';
import type { Logger } from '../../ports/logger.ts';
import type { Dns, SrvTarget } from './dns.ts';

export interface SrvOptions {
  /** Name of this member. */
  readonly name: string;
  readonly domain: string;
  /** Suffix that selects one of several clusters of a domain; may be empty. */
  readonly serviceName: string;
  readonly advertised: readonly EndpointUrl[];
  readonly dns: Dns;
  readonly logger: Logger;
}

export interface SrvCluster {
  /** Members as `name=url`. The names of other members are numbers. Empty if nothing was found. */
  readonly members: readonly string[];
  /** Errors of the queries; the result of the other query may still be usable. */
  readonly fault: string | undefined;
}

type Scheme = 'https' | 'http';

/** Returns the members listed by the SRV records `_etcd-server-ssl._tcp` and `_etcd-server._tcp` of a domain. */
export async function srvCluster(options: SrvOptions): Promise<SrvCluster> {
  const { domain, serviceName, logger } = options;
  const members: string[] = [];
  const faults: string[] = [];
  for (const [scheme, base] of [
    ['https', 'etcd-server-ssl'],
    ['http', 'etcd-server'],
  ] as const) {
    const service = serviceName === '' ? base : `${base}-${serviceName}`;
    let found: readonly string[] = [];
    let fault: string | undefined;
    try {
      found = await serviceMembers(options, service, scheme);
    } catch (error) {
      fault = reasonOf(error);
      faults.push(fault);
    }
    members.push(...found);
    logger.info(`get cluster for ${base} SRV`, {
      'service-scheme': scheme,
      'service-name': service,
      'server-name': options.name,
      'discovery-srv': domain,
      'advertise-peer-urls': options.advertised.map(({ text }) => text),
      'found-cluster': found,
      ...(fault === undefined ? {} : { error: fault }),
    });
  }
  return { members, fault: faults.length === 0 ? undefined : faults.join('\n') };
}

async function serviceMembers(options: SrvOptions, service: string, scheme: Scheme): Promise<string[]> {
  const { dns, domain } = options;
  const ours = await ownAddresses(options);
  let targets: readonly SrvTarget[];
  try {
    targets = await dns.services(`_${service}._tcp.${domain}`);
  } catch (error) {
    throw wrapped(service, error);
  }
  const members: string[] = [];
  let lastFault: unknown;
  let nextNumber = 0;
  for (const target of targets) {
    const host = target.host.includes(':') ? `[${target.host}]` : target.host;
    const url = `${scheme}://${host}:${target.port}`;
    let own: EndpointUrl | undefined;
    try {
      own = ours.get(`${await dns.address(target.host)} ${target.port}`);
    } catch (error) {
      lastFault = error;
      continue;
    }
    if (own !== undefined && own.scheme !== scheme) {
      lastFault = new Error(
        `bootstrap at ${url} from DNS for ${service} has scheme mismatch with expected peer ${own.text}`,
      );
      continue;
    }
    const name = own === undefined || options.name === '' ? String(nextNumber++) : options.name;
    members.push(`${name}=${url}`);
  }
  if (members.length === 0 && lastFault !== undefined) throw wrapped(service, lastFault);
  return members;
}

/** Returns the advertised peer URLs of this member by address and port. They identify its own SRV record. */
async function ownAddresses({ advertised, dns }: SrvOptions): Promise<Map<string, EndpointUrl>> {
  const urls = new Map<string, EndpointUrl>();
  for (const url of advertised) {
    if (url.socketPath !== undefined) throw new Error(`address ${url.socketPath}: missing port in address`);
    urls.set(`${await dns.address(url.host)} ${Number(url.port)}`, url);
  }
  return urls;
}

function wrapped(service: string, error: unknown): Error {
  const reason = reasonOf(error);
  return new Error(`error querying DNS SRV records for _${service} ${reason}`, { cause: error });
}
