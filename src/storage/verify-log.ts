import { CorruptLogError } from './wal/corrupt-log-error.ts';
import { scanLog, type LogScan } from './wal/log-scan.ts';
import { listSegments } from './wal/segment-name.ts';
import { TermRuns } from './wal/term-runs.ts';

/** Something that must not be in a healthy data directory. */
export interface Finding {
  /** A file with its offset, or a column with its row. */
  readonly where: string;
  readonly what: string;
}

export interface LogVerification {
  readonly segments: number;
  readonly entries: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
  readonly commit: number;
  /** Index of the newest snapshot record. */
  readonly snapshotIndex: number;
  /** Bytes of a torn write at the end; the next start cuts them off. */
  readonly tornBytes: number;
  readonly findings: readonly Finding[];
  /** Term of an entry that is in the log. */
  readonly termOf: (index: number) => number | undefined;
}

const ENTRIES_PER_REPORT = 1_000;

/**
 * Reads a whole log without changing it: checksums, the sequence of segments, and raft's order of entries, terms
 * and states.
 *
 * @param onEntries called now and then with the number of entries read so far
 */
export function verifyLog(directory: string, onEntries?: (entries: number) => void): LogVerification {
  let entries = 0;
  let scan: LogScan | undefined;
  const findings: Finding[] = [];
  let segments = 0;
  try {
    const names = listSegments(directory);
    segments = names.length;
    if (segments === 0) findings.push({ where: directory, what: 'there is no log' });
    else {
      scan = scanLog(directory, names, {
        onEntry: () => {
          entries += 1;
          if (entries % ENTRIES_PER_REPORT === 0) onEntries?.(entries);
        },
      });
      if (scan.metadata === undefined)
        findings.push({ where: directory, what: 'there is no metadata record' });
      if (scan.snapshot === undefined)
        findings.push({ where: directory, what: 'there is no snapshot record' });
    }
  } catch (error) {
    if (!(error instanceof CorruptLogError)) throw error;
    findings.push({ where: `${error.file}:${error.offset}`, what: error.message });
  }
  const terms = scan?.terms ?? new TermRuns();
  return {
    segments,
    entries,
    firstIndex: terms.firstIndex,
    lastIndex: terms.lastIndex,
    lastTerm: terms.of(terms.lastIndex) ?? 0,
    commit: scan?.hardState.commit ?? 0,
    snapshotIndex: scan?.snapshot?.index ?? 0,
    tornBytes: scan === undefined ? 0 : scan.end.nonZeroEnd - scan.end.end,
    findings,
    termOf: (index) => terms.of(index),
  };
}
