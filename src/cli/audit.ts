import type { AuditSettings, Config } from '../config/config.ts';
import { reasonOf } from '../lib/text.ts';
import { LineFile } from '../logging/line-file.ts';
import type { Logging } from '../logging/logging.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { StartError } from './start-error.ts';

/** The output of the audit log. */
export interface AuditLines {
  readonly level: AuditSettings['level'];
  readonly file: LineFile;
}

/** Resolves to undefined if the audit log is off. Rejects with a StartError if the file cannot be written. */
export async function openAuditLines(
  { audit }: Config,
  logging: Logging,
  metrics: Metrics,
): Promise<AuditLines | undefined> {
  if (audit === undefined) return undefined;
  const logger = logging.for('cli/audit.ts');
  const { path, level, maxSizeMegabytes, maxBackups } = audit;
  let file: LineFile;
  try {
    file = await LineFile.open({
      path,
      maxSizeMegabytes,
      maxBackups,
      onDropped: (lines, reason) => logger.warn('dropped lines of the audit log', { lines, reason }),
      droppedLine: (lines) => `${JSON.stringify({ ts: new Date().toISOString(), dropped: lines })}\n`,
    });
  } catch (error) {
    const reason = reasonOf(error);
    throw new StartError(`failed to open the audit log: ${reason}`, { cause: error });
  }
  metrics.audit = file;
  logger.info('writing an audit log', { path, level });
  return { level, file };
}
