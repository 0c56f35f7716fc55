import type { LogRotationSettings, LogSettings } from './config.ts';
import { quote } from './go-syntax.ts';
import type { FlagValues } from './value-kinds.ts';

const levels = ['debug', 'info', 'warn', 'error', 'panic', 'fatal'] as const;
const streamOutputs = new Set(['default', 'stderr', 'stdout']);

/** For an unknown level etcd panics, which gives exit code 2. All other invalid settings give exit code 1. */
export type LogSettingsOutcome = LogSettings | { readonly fault: string; readonly exitCode: 1 | 2 };

/** Checks the log flags in the same order as etcd. */
export function logSettings(values: FlagValues): LogSettingsOutcome {
  if (values.logger === 'capnslog') return fault('--logger=capnslog is removed in v3.5');
  if (values.logger !== 'zap') return fault(`unknown logger option ${quote(values.logger)}`);
  const outputs = values['log-outputs'].length === 0 ? ['default'] : values['log-outputs'];
  if (outputs.length > 1 && outputs.includes('default')) {
    return fault(`multi logoutput for "default" is not supported yet`);
  }
  let rotation: LogRotationSettings | undefined;
  if (values['enable-log-rotation']) {
    const outcome = rotationSettings(outputs, values['log-rotation-config-json']);
    if (typeof outcome === 'string') return fault(outcome);
    rotation = outcome;
  }
  if (outputs.includes('systemd/journal') && outputs.length > 1) {
    const listed = `[${outputs.map(quote).join(' ')}]`;
    return fault(
      `running with systemd/journal but other '--log-outputs' values (${listed}) are configured with 'default'; override 'default' value with something else`,
    );
  }
  const level = levels.find((known) => known === values['log-level'].toLowerCase());
  if (level === undefined) return { fault: `unrecognized level: ${quote(values['log-level'])}`, exitCode: 2 };
  const format = values['log-format'] === '' ? 'json' : values['log-format'];
  if (format !== 'json' && format !== 'console') {
    return fault(`unknown log format: ${format}, supported values json, console`);
  }
  return { level, format, outputs, rotation };
}

function fault(text: string): { readonly fault: string; readonly exitCode: 1 } {
  return { fault: text, exitCode: 1 };
}

/** @returns the settings, or the error text */
function rotationSettings(outputs: readonly string[], json: string): LogRotationSettings | string {
  const files = outputs.filter((output) => !streamOutputs.has(output)).length;
  if (files > 1 || (files === 0 && outputs.length === 1)) {
    return '--log-outputs requires a single file path when --log-rotate-config-json is defined';
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (error) {
    return `improperly formatted log rotation config: ${error instanceof Error ? error.message : ''}`;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    return 'invalid log rotation config: not an object';
  }
  const fields = new Map<string, unknown>(
    Object.entries(parsed).map(([key, value]) => [key.toLowerCase(), value]),
  );
  for (const key of ['maxsize', 'maxage', 'maxbackups']) {
    const value = fields.get(key) ?? 0;
    if (!Number.isSafeInteger(value)) return `invalid log rotation config: ${key} must be an integer`;
  }
  for (const key of ['localtime', 'compress']) {
    if (typeof (fields.get(key) ?? false) !== 'boolean')
      return `invalid log rotation config: ${key} must be a boolean`;
  }
  return {
    maxSizeMegabytes: Number(fields.get('maxsize') ?? 0) || 100,
    maxAgeDays: Number(fields.get('maxage') ?? 0),
    maxBackups: Number(fields.get('maxbackups') ?? 0),
    localTime: fields.get('localtime') === true,
    compress: fields.get('compress') === true,
  };
}
