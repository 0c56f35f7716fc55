import type { AuditSettings } from './config.ts';
import { quote } from './go-syntax.ts';
import type { FlagValues } from './value-kinds.ts';

/** Checks the audit log flags. @returns the error text, or undefined when the flags are valid */
export function auditFault(values: FlagValues): string | undefined {
  const level = values['audit-log-level'];
  if (level !== 'write' && level !== 'all')
    return `--audit-log-level is ${quote(level)}; it must be "write" or "all"`;
  const stream = pathOf(values);
  if (stream !== 'stdout' && stream !== 'stderr') return undefined;
  const outputs = values['log-outputs'].map((output) =>
    output === 'default' || output === 'systemd/journal' ? 'stderr' : output,
  );
  if (!outputs.includes(stream) && !(outputs.length === 0 && stream === 'stderr')) return undefined;
  return `--audit-log-path and --log-outputs both write to ${stream}; change one of them`;
}

/** @returns undefined when the audit log is off */
export function auditSettings(values: FlagValues): AuditSettings | undefined {
  const path = pathOf(values);
  if (path === '') return undefined;
  return {
    path,
    level: values['audit-log-level'] === 'all' ? 'all' : 'write',
    maxSizeMegabytes: values['audit-log-max-size'],
    maxBackups: values['audit-log-max-backups'],
  };
}

function pathOf(values: FlagValues): string {
  return values['audit-log-path'] === '-' ? 'stdout' : values['audit-log-path'];
}
