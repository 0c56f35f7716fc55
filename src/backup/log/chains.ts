import { defined } from '../../lib/assert.ts';
import type { EntryId } from '../../ports/applied-log.ts';
import type { CatalogEntry } from '../catalog.ts';
import type { Manifest } from '../manifest.ts';
import type { BackupPlace, StoredObject } from '../place.ts';
import { type ChainId, chainName, compareChains, parseSegment, type StoredSegment } from './segment-name.ts';

/** The log is in a folder of its own, so that the list of backups stays short. */
const LOG_FOLDER = 'log';

export function logPlaceOf(place: BackupPlace): BackupPlace {
  return place.folder(LOG_FOLDER);
}

/** Entries that a chain should have. */
export interface Hole {
  readonly from: number;
  readonly to: number;
  /** The segment before the missing ones. */
  readonly before: StoredSegment;
  readonly after: StoredSegment;
}

/** Segments that follow from each other. A member begins a new chain when it cannot continue the newest one. */
export interface Chain {
  readonly clusterId: string;
  readonly id: ChainId;
  /** At least one, in order. Segments whose entries are all in another one are left out. */
  readonly segments: readonly StoredSegment[];
  /** Segments whose entries are all in another one: from before it grew. */
  readonly covered: readonly StoredSegment[];
  readonly holes: readonly Hole[];
}

export interface LogCatalog {
  /** Of all clusters, oldest first. */
  readonly chains: readonly Chain[];
  /** Objects of writes that were interrupted. */
  readonly leftovers: readonly StoredObject[];
}

/** Reads which segments a place has, by their names only. */
export async function readLogCatalog(logPlace: BackupPlace): Promise<LogCatalog> {
  const byChain = new Map<string, StoredSegment[]>();
  const leftovers: StoredObject[] = [];
  for (const object of await logPlace.list()) {
    const segment = parseSegment(object);
    if (segment === undefined) {
      if (/\.log(\.enc)?\.[0-9a-f]{8}\.part$/.test(object.name)) leftovers.push(object);
      continue;
    }
    const id = `${segment.clusterId}-${chainName(segment.chain)}`;
    const others = byChain.get(id);
    if (others === undefined) byChain.set(id, [segment]);
    else others.push(segment);
  }
  const chains = [...byChain.values()].map(chainOf).sort((a, b) => compareChains(a.id, b.id));
  return { chains, leftovers };
}

function chainOf(unordered: readonly StoredSegment[]): Chain {
  const ordered = [...unordered].sort((a, b) => a.first - b.first || b.last.index - a.last.index);
  const segments: StoredSegment[] = [];
  const covered: StoredSegment[] = [];
  const holes: Hole[] = [];
  for (const segment of ordered) {
    const before = segments.at(-1);
    if (before !== undefined && segment.last.index <= before.last.index) {
      covered.push(segment);
      continue;
    }
    if (before !== undefined && segment.first > before.last.index + 1)
      holes.push({ from: before.last.index + 1, to: segment.first - 1, before, after: segment });
    segments.push(segment);
  }
  const { clusterId, chain: id } = defined(segments[0], 'a chain has a segment');
  return { clusterId, id, segments, covered, holes };
}

export function lastSegment({ segments }: Chain): StoredSegment {
  return defined(segments.at(-1), 'a chain has a segment');
}

export function titleOf({ clusterId, id }: Chain): string {
  return `log ${clusterId}-${chainName(id)}`;
}

/** A backup that the log can follow. Backups of earlier versions do not have the last entry that was applied. */
export type LoggedManifest = Manifest & { readonly applied: EntryId };

export function isLogged(manifest: Manifest): manifest is LoggedManifest {
  return manifest.applied !== undefined;
}

/**
 * Whether the entries after a backup are in a chain. A restored cluster can have the ID of the old one and use the same
 * indexes, so the revision must fit as well.
 */
export function follows(chain: Chain, manifest: Manifest): boolean {
  if (manifest.clusterId !== chain.clusterId || !isLogged(manifest)) return false;
  const { applied, revision } = manifest;
  const first = defined(chain.segments[0], 'a chain has a segment').first;
  if (applied.index < first - 1 || applied.index > lastSegment(chain).last.index) return false;
  const segment = segmentsAfter(chain, applied.index - 1)[0];
  if (segment === undefined) return false;
  return segment.revisionBefore <= revision && revision <= segment.revision;
}

/** The segments that have entries after an index. */
export function segmentsAfter({ segments }: Chain, index: number): readonly StoredSegment[] {
  return segments.filter(({ last }) => last.index > index);
}

/** The chain that follows a backup. If several do, the newest. */
export function chainAfter(chains: readonly Chain[], manifest: Manifest): Chain | undefined {
  return chains.findLast((chain) => follows(chain, manifest));
}

/** The backups without a fault that a chain follows, oldest first. */
export function basesOf(
  chain: Chain,
  chains: readonly Chain[],
  entries: readonly CatalogEntry[],
): readonly LoggedManifest[] {
  return entries
    .filter(({ fault, manifest }) => fault === undefined && chainAfter(chains, manifest) === chain)
    .map(({ manifest }) => manifest)
    .filter(isLogged)
    .sort((a, b) => a.applied.index - b.applied.index);
}
