import { environmentName, flagDefinitions } from './flags.ts';
import { FlagValueError, quote } from './go-syntax.ts';
import type { EarlyLogLine } from './early-log-line.ts';
import { setFlag, type FlagValues } from './value-kinds.ts';

const CALLER = 'config/environment.ts';

export interface EnvironmentOutcome {
  /** Flags set from the environment. */
  readonly given: ReadonlySet<string>;
  readonly lines: readonly EarlyLogLine[];
  /** The environment is invalid. `fatal` when etcd exits at once, before it logs its arguments. */
  readonly fault: { readonly message: string; readonly fatal: boolean } | undefined;
}

/**
 * Sets every flag not given on the command line from its `ETCD_` variable. When a flag is given in both ways, the
 * start fails, as in etcd. An unknown `ETCD_` variable gives a warning.
 */
export function applyEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  values: FlagValues,
  onCommandLine: ReadonlySet<string>,
): EnvironmentOutcome {
  const lines: EarlyLogLine[] = [];
  const given = new Set<string>();
  const used = new Set<string>();
  let fault: EnvironmentOutcome['fault'];
  const flags = [...flagDefinitions].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const flag of flags) {
    const variable = environmentName(flag.name);
    const text = environment[variable] ?? '';
    if (onCommandLine.has(flag.name) || text === '') continue;
    used.add(variable);
    if (flag.name === 'version') {
      lines.push({
        level: 'warn',
        caller: CALLER,
        message: 'cannot set special environment variable',
        fields: { key: variable, value: text },
      });
      continue;
    }
    try {
      setFlag(values, flag, text);
    } catch (error) {
      if (!(error instanceof FlagValueError)) throw error;
      fault = { message: `invalid value ${quote(text)} for ${variable}: ${error.message}`, fatal: false };
      continue;
    }
    given.add(flag.name);
    lines.push({
      level: 'info',
      caller: CALLER,
      message: 'recognized and used environment variable',
      fields: { 'variable-name': variable, 'variable-value': text },
    });
  }
  const shadowed = new Set([...onCommandLine].map(environmentName));
  for (const [variable, text] of Object.entries(environment)) {
    if (used.has(variable)) continue;
    if (shadowed.has(variable)) {
      const message =
        'conflicting environment variable is shadowed by corresponding command-line flag (either unset environment variable or disable flag))';
      lines.push({ level: 'fatal', caller: CALLER, message, fields: { 'environment-variable': variable } });
      return { given, lines, fault: { message, fatal: true } };
    }
    if (variable.startsWith('ETCD_')) {
      const fields = { 'environment-variable': `${variable}=${text ?? ''}` };
      lines.push({ level: 'warn', caller: CALLER, message: 'unrecognized environment variable', fields });
    }
  }
  return { given, lines, fault };
}
