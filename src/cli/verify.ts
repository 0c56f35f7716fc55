import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { AppliedState } from '../apply/applied-state.ts';
import { reasonOf } from '../lib/text.ts';
import { dataDirectory } from '../storage/data-dir.ts';
import { RocksEngine } from '../storage/rocks-engine.ts';
import { checkFinished } from '../storage/unfinished.ts';
import { verifyLog, type Finding, type LogVerification } from '../storage/verify-log.ts';
import { isJsonWanted } from './client/client-flags.ts';
import { Progress } from './progress.ts';
import { verifyStore, type StoreVerification } from './verify-store.ts';

export interface Verification {
  readonly ok: boolean;
  readonly dataDirectory: string;
  readonly log: Omit<LogVerification, 'findings' | 'termOf'>;
  readonly store:
    | (Omit<StoreVerification, 'findings'> & { readonly appliedIndex: number; readonly appliedTerm: number })
    | undefined;
  readonly findings: readonly Finding[];
}

/** Checks that the log continues where the store ends, and that both have the same term for that entry. */
function compare(log: LogVerification, applied: { index: number; term: number }): Finding[] {
  const where = 'meta applied index';
  const { index, term } = applied;
  const newest = Math.max(log.lastIndex, log.snapshotIndex);
  if (index > newest) return [{ where, what: `${index} is after the last entry ${newest} of the log` }];
  if (log.entries > 0 && index + 1 < log.firstIndex) {
    return [{ where, what: `${index}: the log starts only at entry ${log.firstIndex}` }];
  }
  const logTerm = index < log.firstIndex ? undefined : log.termOf(index);
  if (index > 0 && logTerm !== undefined && logTerm !== term) {
    return [
      { where, what: `entry ${index} was applied with term ${term}, but has term ${logTerm} in the log` },
    ];
  }
  return [];
}

/**
 * Checks a data directory that no process uses: the checksums and the order of the log, the columns of the store, and
 * that log and store match.
 *
 * @throws Error if the directory does not exist, is in use, incomplete, or cannot be read
 */
export async function verifyDataDirectory(
  root: string,
  walDirectory = '',
  progress = new Progress(),
): Promise<Verification> {
  const directory = dataDirectory(root, walDirectory);
  checkFinished(directory);
  for (const path of [directory.wal, directory.rocksdb]) {
    if (!existsSync(path))
      throw new Error(`${root} is not a Keystead data directory: ${path} does not exist`);
  }
  const engine = await openStore(directory.rocksdb, root);
  try {
    const {
      findings: logFindings,
      termOf,
      ...log
    } = verifyLog(directory.wal, (entries) => {
      progress.show('verifying the log', 'entries', entries);
    });
    const applied = new AppliedState(engine);
    const isLogAhead = log.lastIndex > applied.index;
    const { findings: storeFindings, ...store } = verifyStore(engine, {
      isLogAhead,
      onRows: (rows, total) => progress.show('verifying the store', 'rows', rows, total),
    });
    const findings = [...logFindings, ...storeFindings];
    if (logFindings.length === 0) findings.push(...compare({ ...log, findings: [], termOf }, applied));
    return {
      ok: findings.length === 0,
      dataDirectory: root,
      log,
      store: { ...store, appliedIndex: applied.index, appliedTerm: applied.term },
      findings,
    };
  } finally {
    progress.end();
    await engine.close();
  }
}

async function openStore(path: string, root: string): Promise<RocksEngine> {
  try {
    return await RocksEngine.open(path);
  } catch (error) {
    if ((error as { code?: string }).code !== 'LEVEL_LOCKED') throw error;
    throw new Error(`data directory ${root} is in use by another process`, { cause: error });
  }
}

/** Formats the report as text. */
export function describeVerification({
  ok,
  dataDirectory: root,
  log,
  store,
  findings,
}: Verification): string {
  const lines = [
    `data directory  ${root}`,
    `log             ${log.entries} entries (${log.firstIndex} to ${log.lastIndex}) in ${log.segments} segments, term ${log.lastTerm}, commit ${log.commit}`,
  ];
  if (log.tornBytes > 0)
    lines.push(
      `                ${log.tornBytes} bytes of an unfinished write at the end; the next start removes them`,
    );
  if (store !== undefined) {
    lines.push(
      `store           revision ${store.revision}, compacted ${store.compactRevision}, ${store.keys} keys, ${store.events} changes, applied index ${store.appliedIndex} in term ${store.appliedTerm}`,
    );
  }
  if (store?.unfinishedRevision !== undefined)
    lines.push(
      `                the change at revision ${store.unfinishedRevision} was interrupted; it will be finished at the next start`,
    );
  for (const { where, what } of findings) lines.push(`WRONG           ${where}: ${what}`);
  lines.push(ok ? 'ok' : `${findings.length} finding${findings.length === 1 ? '' : 's'}`);
  return lines.join('\n');
}

const USAGE = `Usage: keystead verify --data-dir <directory> [--wal-dir <directory>] [--output text|json]

Checks a data directory that no process uses. Exit code 0: no errors; 1: errors found; 2: the check failed.
`;

/** The flags of the command, for `parseArgs`. */
export const verifyFlags = {
  'data-dir': { type: 'string' },
  'wal-dir': { type: 'string', default: '' },
  output: { type: 'string', short: 'o', default: 'text' },
  // The name in etcdutl.
  'write-out': { type: 'string', short: 'w', default: 'simple' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** The `verify` subcommand. Returns the exit code. */
export async function runVerify(
  args: readonly string[],
  out: (text: string) => void,
  err: (text: string) => void,
): Promise<number> {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: verifyFlags,
    });
    const root = values['data-dir'];
    if (values.help || root === undefined) {
      (values.help ? out : err)(USAGE);
      return values.help ? 0 : 2;
    }
    const isJson = isJsonWanted(values.output) || values['write-out'] === 'json';
    const verification = await verifyDataDirectory(root, values['wal-dir']);
    out(isJson ? JSON.stringify(verification) : describeVerification(verification));
    return verification.ok ? 0 : 1;
  } catch (error) {
    err(`keystead verify: ${reasonOf(error)}`);
    return 2;
  }
}
