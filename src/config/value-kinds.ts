import { FlagValueError, parseGoBool, parseGoDuration, parseGoInteger, quote } from './go-syntax.ts';
import { parseFeatureGates, type FeatureGateSettings } from './feature-gates.ts';
import {
  flagDefinitions,
  type FlagDefinition,
  type FlagKind,
  type FlagKinds,
  type FlagName,
} from './flags.ts';
import { parseUniqueUrls, type EndpointUrl } from './urls.ts';

/** The value type of each kind of flag. Durations are milliseconds. */
export interface KindValues {
  readonly string: string;
  readonly bool: boolean;
  readonly uint: number;
  readonly uintOrAuto: number | 'auto';
  readonly uint32: number;
  readonly uint64: number;
  readonly int: number;
  readonly int64: number;
  readonly duration: number;
  readonly urls: readonly EndpointUrl[];
  /** Origins as written; `*` is possible. */
  readonly origins: readonly string[];
  readonly strings: readonly string[];
  /** Sorted, without duplicates. */
  readonly uniqueStrings: readonly string[];
  readonly clusterState: string;
  readonly discoveryFallback: string;
  readonly v2Deprecation: string;
  readonly featureGates: FeatureGateSettings;
}

export type FlagValues = { -readonly [Name in FlagName]: KindValues[FlagKinds[Name]] };

type AnyValue = KindValues[FlagKind];

const v2Stages = ['write-only', 'write-only-skip-check', 'write-only-drop-data', 'gone'];

/** The parser of each kind. `before` is the value that the flag has so far, for kinds that add to it. */
const parsers: { readonly [K in FlagKind]: (text: string, before: AnyValue | undefined) => KindValues[K] } = {
  string: (text) => text,
  bool: (text) => {
    const value = parseGoBool(text);
    if (value === undefined) throw new FlagValueError('parse error');
    return value;
  },
  uint: (text) => plainInteger(text, 64, false),
  uintOrAuto: (text) => (text === 'auto' ? text : plainInteger(text, 64, false)),
  uint64: (text) => plainInteger(text, 64, false),
  int: (text) => plainInteger(text, 64, true),
  int64: (text) => plainInteger(text, 64, true),
  uint32: (text) => {
    const value = parseGoInteger(text, { bits: 32, signed: false });
    if (typeof value === 'bigint') return Number(value);
    const fault = value === 'syntax' ? 'invalid syntax' : 'value out of range';
    throw new FlagValueError(`strconv.ParseUint: parsing ${quote(text)}: ${fault}`);
  },
  duration: (text) => {
    const ms = parseGoDuration(text);
    if (ms === undefined) throw new FlagValueError('parse error');
    return ms;
  },
  // An empty text leaves the URLs unchanged, as in etcd.
  urls: (text, before) => (text === '' ? urlsBefore(before) : parseUniqueUrls(text)),
  origins: (text) => (text === '' || text === '*' ? ['*'] : parseUniqueUrls(text).map((url) => url.text)),
  strings: (text) => (text === '' ? [] : text.split(',')),
  uniqueStrings: (text) => [...new Set(text.split(','))].sort(),
  clusterState: (text) => oneOf(text, ['new', 'existing']),
  discoveryFallback: (text) => oneOf(text, ['exit', 'proxy']),
  v2Deprecation: (text) => {
    for (const stage of text.split(',')) {
      if (!v2Stages.includes(stage)) throw new FlagValueError(`invalid value ${quote(stage)}`);
    }
    return text;
  },
  featureGates: (text, before) => parseFeatureGates(text, before instanceof Map ? before : undefined),
};

function urlsBefore(before: AnyValue | undefined): readonly EndpointUrl[] {
  return Array.isArray(before) ? (before as readonly EndpointUrl[]) : [];
}

function oneOf(text: string, choices: readonly string[]): string {
  if (!choices.includes(text)) throw new FlagValueError('invalid value');
  return text;
}

/** Values are capped at the largest exact integer of a double, which is far above any useful value of a flag. */
function plainInteger(text: string, bits: number, signed: boolean): number {
  const value = parseGoInteger(text, { bits, signed });
  if (value === 'syntax') throw new FlagValueError('parse error');
  if (value === 'range') throw new FlagValueError('value out of range');
  return Math.min(Math.max(Number(value), Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
}

/**
 * Sets one flag from its text.
 *
 * @throws FlagValueError when the text does not fit the flag's kind; the value is then unchanged
 */
export function setFlag(
  values: FlagValues,
  flag: FlagDefinition & { readonly name: FlagName },
  text: string,
): void {
  const holder: Partial<Record<FlagName, AnyValue>> = values;
  holder[flag.name] = parsers[flag.kind](text, holder[flag.name]);
}

/** Returns a new set of values with every flag at its default. */
export function defaultFlagValues(): FlagValues {
  const values: Partial<Record<FlagName, AnyValue>> = {};
  for (const flag of flagDefinitions) values[flag.name] = defaultValue(flag);
  // Complete: the loop covers every name of the table, each with the value of its kind.
  return values as FlagValues;
}

export function defaultValue(flag: FlagDefinition): AnyValue {
  if (flag.default === '' && ['v2Deprecation', 'uniqueStrings'].includes(flag.kind)) {
    return flag.kind === 'uniqueStrings' ? [] : '';
  }
  return parsers[flag.kind](flag.default, undefined);
}
