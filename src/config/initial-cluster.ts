import type { Config, InitialCluster } from './config.ts';
import { quote } from './go-syntax.ts';
import { parseUrls, urlTexts } from './urls.ts';

/**
 * Parses `name=url,name=url,...`. A name may occur several times. The URLs of a member are sorted.
 *
 * @throws FlagValueError with etcd's text
 */
export function parseInitialCluster(text: string): InitialCluster {
  const urlsByName = new Map<string, string[]>();
  for (const part of text.split(',')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = equals < 0 ? part : part.slice(0, equals);
    const urls = urlsByName.get(name) ?? [];
    urls.push(equals < 0 ? '' : part.slice(equals + 1));
    urlsByName.set(name, urls);
  }
  const cluster = new Map<string, readonly string[]>();
  for (const [name, urls] of urlsByName) cluster.set(name, urlTexts(parseUrls(urls)));
  return cluster;
}

/**
 * Checks the initial cluster of a new member.
 *
 * @param difference how this member's URLs in the initial cluster differ from its advertised URLs, if they do
 * @returns etcd's error text, or undefined when the cluster is valid
 */
export function bootstrapFault(
  { name, initialCluster, advertisePeerUrls }: Pick<Config, 'name' | 'initialCluster' | 'advertisePeerUrls'>,
  difference: string | undefined,
): string | undefined {
  const own = initialCluster.get(name);
  if (own === undefined)
    return `couldn't find local name ${quote(name)} in the initial cluster configuration`;
  if (difference !== undefined) {
    return advertiseFault({ name, own, advertised: urlTexts(advertisePeerUrls).sort(), difference });
  }
  const all = [...initialCluster.values()].flat();
  if (new Set(all).size !== all.length)
    return `initial cluster ${clusterText(initialCluster)} has duplicate url`;
  return undefined;
}

interface UrlMismatch {
  readonly name: string;
  readonly own: readonly string[];
  readonly advertised: readonly string[];
  readonly difference: string;
}

function advertiseFault({ name, own, advertised, difference }: UrlMismatch): string {
  const given = clusterText(new Map([[name, advertised]]));
  const missing = own.filter((url) => !advertised.includes(url));
  if (missing.length > 0) {
    const listed = missing.map((url) => `${name}=${url}`).join(',');
    return `--initial-cluster has ${listed} but missing from --initial-advertise-peer-urls=${advertised.join(',')} (${difference})`;
  }
  const extra = advertised.filter((url) => !own.includes(url));
  if (extra.length > 0)
    return `--initial-advertise-peer-urls has ${extra.join(',')} but missing from --initial-cluster=${given}`;
  return `failed to resolve ${advertised.join(',')} to match --initial-cluster=${given} (${difference})`;
}

/** Formats the cluster as `name=url,...`, sorted. */
export function clusterText(cluster: InitialCluster): string {
  return [...cluster]
    .flatMap(([name, urls]) => urls.map((url) => `${name}=${url}`))
    .sort()
    .join(',');
}
