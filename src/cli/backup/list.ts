import { parseArgs } from 'node:util';
import { type Catalog, type CatalogEntry, readCatalog } from '../../backup/catalog.ts';
import {
  basesOf,
  type Chain,
  type LoggedManifest,
  logPlaceOf,
  readLogCatalog,
  titleOf,
} from '../../backup/log/chains.ts';
import { timeText, usableAfter } from '../../backup/log/plan.ts';
import { type BackupCommand, parsed, placeFlags, placeSettings } from './command.ts';

const usage = `Usage: keystead backup list --url <place> [-o json]

Lists the backups, the oldest first, and the moments that the log of the server reaches. It reads the manifests and the sizes of the objects; "backup verify" reads all.
`;

export const listCommand: BackupCommand = {
  usage,
  run: async ({ args, environment, out }) => {
    const { place, isJson } = await parsed(async () => {
      const { values } = parseArgs({ args: [...args], options: placeFlags });
      return placeSettings(values, environment);
    });
    const catalog = await readCatalog(place);
    const { chains } = await readLogCatalog(logPlaceOf(place));
    out(isJson ? JSON.stringify(toJson(catalog, chains)) : describe(catalog, chains));
    return 0;
  },
};

/** The moments that a chain and the backups that it follows reach. Undefined if it follows none. */
function reachOf(
  chain: Chain,
  chains: readonly Chain[],
  { entries }: Catalog,
): { readonly from: LoggedManifest; readonly toRevision: number; readonly toTimeMs: number } | undefined {
  const [from] = basesOf(chain, chains, entries);
  if (from === undefined) return undefined;
  const end = usableAfter(chain, from.applied.index).segments.at(-1);
  return {
    from,
    toRevision: end?.revision ?? from.revision,
    toTimeMs: end?.lastTimeMs ?? Date.parse(from.time),
  };
}

function logJson(chain: Chain, chains: readonly Chain[], catalog: Catalog): unknown {
  const reach = reachOf(chain, chains, catalog);
  const { from, to } = chain.holes[0] ?? {};
  return {
    log: titleOf(chain),
    clusterId: chain.clusterId,
    segments: chain.segments.length,
    bytes: bytesOf(chain),
    ...(reach === undefined
      ? {}
      : {
          backup: reach.from.id,
          fromRevision: reach.from.revision,
          fromTime: reach.from.time,
          toRevision: reach.toRevision,
          toTime: timeText(reach.toTimeMs),
        }),
    ...(from === undefined ? {} : { fault: `the entries ${from} to ${to} are missing` }),
  };
}

function describeLog(chain: Chain, chains: readonly Chain[], catalog: Catalog): string {
  const reach = reachOf(chain, chains, catalog);
  const { from, to } = chain.holes[0] ?? {};
  const moments =
    reach === undefined
      ? 'follows no backup'
      : `any moment from ${reach.from.time} (revision ${reach.from.revision}, backup ${reach.from.id}) to ${timeText(reach.toTimeMs)} (revision ${reach.toRevision})`;
  const fault = from === undefined ? '' : `  damaged: the entries ${from} to ${to} are missing`;
  return `${titleOf(chain)}  ${moments}  ${chain.segments.length} segments  ${bytesOf(chain)} bytes${fault}`;
}

function bytesOf({ segments }: Chain): number {
  return segments.reduce((sum, { bytes }) => sum + bytes, 0);
}

function toJson(catalog: Catalog, chains: readonly Chain[]): unknown {
  const { entries, unreadable } = catalog;
  return {
    logs: chains.map((chain) => logJson(chain, chains, catalog)),
    backups: entries.map(({ manifest, fault }) => ({
      ...manifest,
      state: stateOf({ manifest, fault }),
      fault,
    })),
    unreadable,
  };
}

function stateOf({ manifest, fault }: CatalogEntry): 'damaged' | 'verified' | 'not verified' {
  if (fault !== undefined) return 'damaged';
  return manifest.verifiedAt === undefined ? 'not verified' : 'verified';
}

function describe(catalog: Catalog, chains: readonly Chain[]): string {
  const { entries, unreadable } = catalog;
  const lines = entries.map((entry) => {
    const { id, clusterId, revision, bytes, time, verifiedAt, encryption } = entry.manifest;
    const state = stateOf(entry) === 'verified' ? `verified ${verifiedAt ?? ''}` : stateOf(entry);
    const details = [time, `cluster ${clusterId}`, `revision ${revision}`, `${bytes} bytes`];
    if (encryption !== undefined) details.push(`key ${encryption.keyId}`);
    return `${id}  ${details.join('  ')}  ${state}${entry.fault === undefined ? '' : `: ${entry.fault}`}`;
  });
  for (const { name, reason } of unreadable) lines.push(`${name}  cannot be read: ${reason}`);
  lines.push(...chains.map((chain) => describeLog(chain, chains, catalog)));
  return lines.length === 0 ? 'no backups' : lines.join('\n');
}
