import { flagDefinitions, type FlagName } from './flags.ts';
import { defaultValue, type FlagValues } from './value-kinds.ts';

/**
 * Capabilities still to come. Asking for one is refused by the flag's name: a flag silently ignored would be
 * worse than a server that does not start. An entry goes when its capability arrives.
 */
const flagsToCome: Readonly<Record<string, readonly FlagName[]>> = {
  'distributed tracing': [
    'enable-distributed-tracing',
    'distributed-tracing-address',
    'distributed-tracing-service-name',
    'distributed-tracing-instance-id',
    'distributed-tracing-sampling-rate',
  ],
  'locked memory': ['memory-mlock'],
  'SO_REUSEPORT listeners': ['socket-reuse-port'],
};

/** Flags whose capability is to come, whatever their value. */
export function flagsNotYet(): ReadonlyMap<FlagName, string> {
  const entries = Object.entries(flagsToCome);
  return new Map(entries.flatMap(([capability, flags]) => flags.map((flag) => [flag, capability] as const)));
}

/** Why the configuration cannot be served yet, naming the flag; undefined when it can. */
export function notYetFault(values: FlagValues): string | undefined {
  const toCome = flagsNotYet();
  for (const flag of flagDefinitions) {
    const capability = toCome.get(flag.name);
    if (capability === undefined) continue;
    if (JSON.stringify(values[flag.name]) !== JSON.stringify(defaultValue(flag))) {
      return refusal(flag.name, capability);
    }
  }
  return undefined;
}

function refusal(flag: FlagName, capability: string): string {
  return `--${flag} asks for ${capability}, which this version of Keystead does not have yet`;
}

/** Flags that set what only etcd's store and log have: accepted, and said in the log to do nothing. */
export const flagsWithoutEffect: ReadonlySet<FlagName> = new Set([
  'backend-bbolt-freelist-type',
  'backend-batch-interval',
  'backend-batch-limit',
  'bootstrap-defrag-threshold-megabytes',
  'max-snapshots',
  'max-wals',
  'unsafe-no-fsync',
]);
