import { reasonOf } from '../lib/text.ts';
import { byOrder, decodeManifest, type Manifest, MANIFEST_SUFFIX, sequenceOf } from './manifest.ts';
import { type BackupPlace, readSmall, type StoredObject } from './place.ts';

/** A manifest is below 1 KiB. */
const MAX_MANIFEST_BYTES = 64 << 10;
const READS_AT_ONCE = 8;

export interface CatalogEntry {
  readonly manifest: Manifest;
  /** What is wrong as far as the names and sizes of the objects tell; undefined if nothing is. */
  readonly fault: string | undefined;
}

export interface Catalog {
  /** Oldest first; see `byOrder`. */
  readonly entries: readonly CatalogEntry[];
  /** Manifests that cannot be read. */
  readonly unreadable: readonly { readonly name: string; readonly reason: string }[];
  /** Objects of backups without a manifest: of runs that were interrupted, or that are under way. */
  readonly leftovers: readonly StoredObject[];
  /** The sequence of the next backup. */
  readonly nextSequence: number;
}

/** Reads which backups a place has. A backup without a manifest is not one. Other files are ignored. */
export async function readCatalog(place: BackupPlace): Promise<Catalog> {
  const objects = (await place.list()).filter(({ name }) => sequenceOf(withoutPart(name)) !== undefined);
  const byName = new Map(objects.map((object) => [object.name, object]));
  const entries: CatalogEntry[] = [];
  const unreadable: { name: string; reason: string }[] = [];
  const names = [...byName.keys()].filter((name) => name.endsWith(MANIFEST_SUFFIX)).sort();
  const readNext = async (): Promise<void> => {
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      try {
        const bytes = await readSmall(place, name, MAX_MANIFEST_BYTES);
        const manifest = decodeManifest(bytes, name.slice(0, -MANIFEST_SUFFIX.length));
        entries.push({ manifest, fault: faultOf(manifest, byName.get(manifest.object)) });
      } catch (error) {
        unreadable.push({ name, reason: reasonOf(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: READS_AT_ONCE }, readNext));
  const hasManifest = (name: string): boolean => byName.has(name.replace(/\.db(\.enc)?$/, MANIFEST_SUFFIX));
  const sequences = objects.map(({ name }) => sequenceOf(withoutPart(name)) ?? 0);
  return {
    entries: entries.sort((a, b) => byOrder(a.manifest, b.manifest)),
    unreadable,
    leftovers: objects.filter(({ name }) => !hasManifest(name)),
    nextSequence: sequences.reduce((most, each) => Math.max(most, each), 0) + 1,
  };
}

/** @throws Error if there is no such backup */
export function entryWithId(entries: readonly CatalogEntry[], id: string): CatalogEntry {
  const entry = entries.find(({ manifest }) => manifest.id === id);
  if (entry === undefined) throw new Error(`there is no backup ${id}`);
  return entry;
}

/** The name that a file will have when it is complete. */
function withoutPart(name: string): string {
  return name.replace(/\.[0-9a-f]{8}\.part$/, '');
}

function faultOf({ object, bytes, damage }: Manifest, stored: StoredObject | undefined): string | undefined {
  if (stored === undefined) return `its object ${object} is missing`;
  if (stored.bytes !== bytes) return `its object ${object} has ${stored.bytes} bytes instead of ${bytes}`;
  return damage;
}
