import { findFlag, ignoredFlags } from './flags.ts';
import { FlagValueError, quote } from './go-syntax.ts';
import { setFlag, type FlagValues } from './value-kinds.ts';

export type CommandLineOutcome =
  | { readonly kind: 'parsed'; readonly given: ReadonlySet<string>; readonly rest: readonly string[] }
  | { readonly kind: 'help' }
  /** The caller prints the message and the usage and exits with code 2. */
  | { readonly kind: 'fault'; readonly message: string };

/**
 * Parses arguments as Go's `flag` package does and sets the flags. A flag has one or two dashes. Its value follows
 * `=` or is the next argument; a boolean takes its value only after `=`. Parsing stops at `--` or at the first
 * argument that is not a flag. When a flag is given several times, the last value wins.
 */
export function parseCommandLine(args: readonly string[], values: FlagValues): CommandLineOutcome {
  const given = new Set<string>();
  let at = 0;
  while (at < args.length) {
    const arg = args[at] ?? '';
    if (arg.length < 2 || !arg.startsWith('-')) break;
    at++;
    if (arg === '--') break;
    const body = arg.slice(arg.startsWith('--') ? 2 : 1);
    if (body === '' || body.startsWith('-') || body.startsWith('=')) {
      return { kind: 'fault', message: `bad flag syntax: ${arg}` };
    }
    const equals = body.indexOf('=', 1);
    const name = equals < 0 ? body : body.slice(0, equals);
    const attached = equals < 0 ? undefined : body.slice(equals + 1);
    if (ignoredFlags.has(name)) continue;
    const flag = findFlag(name);
    if (flag === undefined) {
      if (name === 'help' || name === 'h') return { kind: 'help' };
      return { kind: 'fault', message: `flag provided but not defined: -${name}` };
    }
    const text = attached ?? (flag.kind === 'bool' ? 'true' : args[at]);
    if (text === undefined) return { kind: 'fault', message: `flag needs an argument: -${name}` };
    if (attached === undefined && flag.kind !== 'bool') at++;
    try {
      setFlag(values, flag, text);
    } catch (error) {
      if (!(error instanceof FlagValueError)) throw error;
      return { kind: 'fault', message: valueFault(flag.kind === 'bool', name, text, error) };
    }
    given.add(name);
  }
  return { kind: 'parsed', given, rest: args.slice(at) };
}

function valueFault(isBool: boolean, name: string, text: string, error: FlagValueError): string {
  return isBool
    ? `invalid boolean value ${quote(text)} for -${name}: ${error.message}`
    : `invalid value ${quote(text)} for flag -${name}: ${error.message}`;
}
