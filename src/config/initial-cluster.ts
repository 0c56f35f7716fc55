import type { Config, InitialCluster } from './config.ts';
import { quote } from './go-syntax.ts';
import { parseUrlList, urlTexts } from './urls.ts';

/**
 * Parses `name=url,name=url,...`; a name may come several times. URLs of a member are sorted.
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
  // One URL at a time: an item holds no comma, and each must be a URL on its own.
  for (const [name, urls] of urlsByName)
    cluster.set(name, urls.flatMap((url) => urlTexts(parseUrlList(url))).sort());
  return cluster;
}

/** What is wrong with starting a new cluster from this configuration; undefined when nothing is. */
export function bootstrapFault(config: Config): string | undefined {
  const own = config.initialCluster.get(config.name);
  if (own === undefined)
    return `couldn't find local name ${quote(config.name)} in the initial cluster configuration`;
  const advertised = urlTexts(config.advertisePeerUrls).sort();
  if (config.initialClusterState === 'new' && own.join() !== advertised.join()) {
    return advertiseFault(config.name, own, advertised);
  }
  const all = [...config.initialCluster.values()].flat();
  if (new Set(all).size !== all.length)
    return `initial cluster ${clusterText(config.initialCluster)} has duplicate url`;
  return undefined;
}

function advertiseFault(name: string, own: readonly string[], advertised: readonly string[]): string {
  const missing = own.filter((url) => !advertised.includes(url));
  if (missing.length > 0) {
    const listed = missing.map((url) => `${name}=${url}`).join(',');
    return `--initial-cluster has ${listed} but missing from --initial-advertise-peer-urls=${advertised.join(',')}`;
  }
  const extra = advertised.filter((url) => !own.includes(url));
  const listed = own.map((url) => `${name}=${url}`).join(',');
  return `--initial-advertise-peer-urls has ${extra.join(',')} but missing from --initial-cluster=${listed}`;
}

/** The cluster as `name=url,...`, sorted. */
export function clusterText(cluster: InitialCluster): string {
  return [...cluster]
    .flatMap(([name, urls]) => urls.map((url) => `${name}=${url}`))
    .sort()
    .join(',');
}
