import { environmentName, flagDefinitions } from './flags.ts';
import { FlagValueError, quote } from './go-syntax.ts';
import type { StartLine } from './start-line.ts';
import { setFlag, type FlagValues } from './value-kinds.ts';

const caller = 'config/environment.ts';

export interface EnvironmentOutcome {
  /** Flags set from the environment. */
  readonly given: ReadonlySet<string>;
  readonly lines: readonly StartLine[];
  /** The environment cannot be used; `fatal` when etcd ends on the spot without naming its arguments. */
  readonly fault: { readonly message: string; readonly fatal: boolean } | undefined;
}

/**
 * Sets every flag not given on the command line from its `ETCD_` variable. A variable beside a flag of the same
 * meaning is refused, as etcd does, since either could be the one meant; an unknown one is warned about.
 */
export function applyEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  values: FlagValues,
  onCommandLine: ReadonlySet<string>,
): EnvironmentOutcome {
  const lines: StartLine[] = [];
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
        caller,
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
      caller,
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
      lines.push({ level: 'fatal', caller, message, fields: { 'environment-variable': variable } });
      return { given, lines, fault: { message, fatal: true } };
    }
    if (variable.startsWith('ETCD_')) {
      const fields = { 'environment-variable': `${variable}=${text ?? ''}` };
      lines.push({ level: 'warn', caller, message: 'unrecognized environment variable', fields });
    }
  }
  return { given, lines, fault };
}
