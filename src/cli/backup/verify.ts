import { parseArgs } from 'node:util';
import { type Catalog, type CatalogEntry, entryWithId, readCatalog } from '../../backup/catalog.ts';
import { type Chain, chainAfter, isLogged, logPlaceOf, readLogCatalog } from '../../backup/log/chains.ts';
import { timeText } from '../../backup/log/plan.ts';
import type { LogPlace } from '../../backup/log/read-segment.ts';
import { type Gap, type LogProof, proveLog, readGaps } from '../../backup/log/verify-log.ts';
import { checkComplete, verifyBackup } from '../../backup/verify.ts';
import { reasonOf } from '../../lib/text.ts';
import { Progress } from '../progress.ts';
import { type BackupCommand, parsed, placeFlags, placeSettings } from './command.ts';

const usage = `Usage: keystead backup verify [ID...] --url <place> [--key-file <file>] [--newest] [-o json]

Proves that backups can be restored: reads their objects, checks every byte, restores each one into a temporary
directory and compares HashKV with that of the cluster when the backup was taken. Then it applies the log of the server
up to the next backup, whose HashKV must be the same. Without an ID it verifies all, and names the gaps of the log.

  --newest                        Verifies only the newest backup
`;

/** The flags of the command, for `parseArgs`. */
export const backupVerifyFlags = { ...placeFlags, newest: { type: 'boolean' } } as const;

interface Finding {
  readonly id: string;
  /** Undefined if the backup is good. */
  readonly fault?: string;
}

export const verifyCommand: BackupCommand = {
  usage,
  run: async ({ args, environment, out }) => {
    const { settings, ids, isNewest } = await parsed(async () => {
      const { values, positionals } = parseArgs({
        args: [...args],
        allowPositionals: true,
        options: backupVerifyFlags,
      });
      return {
        settings: await placeSettings(values, environment),
        ids: positionals,
        isNewest: values.newest === true,
      };
    });
    const { place, key, temporary, isJson } = settings;
    const catalog = await readCatalog(place);
    const log = { place: logPlaceOf(place), key };
    const { chains } = await readLogCatalog(log.place);
    const findings: Finding[] = [];
    const progress = new Progress();
    const found = (finding: Finding, good: string): void => {
      progress.end();
      findings.push(finding);
      if (!isJson) out(`${finding.id}: ${finding.fault === undefined ? good : `FAULT: ${finding.fault}`}`);
    };
    for (const entry of chosen(catalog, ids, isNewest)) {
      const { id, revision } = entry.manifest;
      try {
        checkComplete(entry);
        let logFault: string | undefined;
        let proof: LogProof | undefined;
        const chain = chainAfter(chains, entry.manifest);
        const { keys } = await verifyBackup(entry.manifest, {
          place,
          key,
          temporary,
          now: () => new Date(),
          onProgress: (...state) => progress.show(...state),
          then: async (engine) => {
            if (chain === undefined || !isLogged(entry.manifest)) return;
            try {
              proof = await proveLog(
                engine,
                entry.manifest,
                { chain, chains, entries: catalog.entries },
                log,
              );
            } catch (error) {
              logFault = reasonOf(error);
            }
          },
        });
        found({ id }, `good: restored ${keys} keys, same HashKV at revision ${revision}`);
        if (proof !== undefined || logFault !== undefined)
          found(
            { id: `log after ${id}`, ...(logFault === undefined ? {} : { fault: logFault }) },
            proof === undefined ? '' : describeProof(proof),
          );
      } catch (error) {
        found({ id, fault: reasonOf(error) }, '');
      }
    }
    const gaps = ids.length === 0 && !isNewest ? await readAllGaps(chains, log, found) : [];
    if (!isJson) for (const { title, reason } of gaps) out(`${title}: gap before it: ${reason}`);
    if (ids.length === 0)
      for (const { name, reason } of catalog.unreadable)
        found({ id: name, fault: `the manifest cannot be read: ${reason}` }, '');
    if (isJson) out(JSON.stringify({ findings, gaps }));
    else if (findings.length === 0) out('no backups');
    return findings.length > 0 && findings.every(({ fault }) => fault === undefined) ? 0 : 1;
  },
};

function describeProof({ entries, revision, timeMs, comparedWith }: LogProof): string {
  const at = timeMs === undefined ? '' : ` at ${timeText(timeMs)}`;
  const end = comparedWith === undefined ? 'the end of the log' : `same HashKV as backup ${comparedWith}`;
  return `good: applied ${entries} entries up to revision ${revision}${at}, ${end}`;
}

async function readAllGaps(
  chains: readonly Chain[],
  log: LogPlace,
  found: (finding: Finding, good: string) => void,
): Promise<readonly Gap[]> {
  try {
    return await readGaps(chains, log);
  } catch (error) {
    found({ id: 'log', fault: reasonOf(error) }, '');
    return [];
  }
}

function chosen({ entries }: Catalog, ids: readonly string[], isNewest: boolean): readonly CatalogEntry[] {
  if (isNewest) return entries.slice(-1);
  if (ids.length === 0) return entries;
  return ids.map((id) => entryWithId(entries, id));
}
