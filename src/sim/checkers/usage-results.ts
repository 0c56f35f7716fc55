import type { WholeMember } from '../../server/whole-member.ts';
import { fullScan } from '../../usage/testing/full-scan.ts';

/** Prefixes of the keys of clients. The keys of leases have none. */
export const USAGE_PREFIXES: readonly string[] = ['k', 'k1'];

/** @returns how the usage by prefix differs from a full scan of the store, if it does */
export function usageResultFault({ usage, member }: WholeMember): string | undefined {
  if (usage?.isComplete !== true) return 'the usage by prefix is not complete';
  const scanned = fullScan(member.engine, (key) =>
    key.startsWith('k1') ? 'k1' : key.startsWith('k') ? 'k' : 'other',
  );
  for (const { prefix, keys, bytes, historyBytes } of usage.counts()) {
    const found = scanned[prefix] ?? { keys: 0, bytes: 0, historyBytes: 0 };
    if (keys === found.keys && bytes === found.bytes && historyBytes === found.historyBytes) continue;
    const counted = JSON.stringify({ keys, bytes, historyBytes });
    return `the usage of ${prefix} is counted as ${counted}, and is ${JSON.stringify(found)}`;
  }
  return undefined;
}
