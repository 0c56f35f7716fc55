import { flagDefinitions, type FlagName } from './flags.ts';
import { defaultValue, type FlagValues } from './value-kinds.ts';

/**
 * Features that Keystead does not have yet, with their flags. The server refuses to start with such a flag: that is
 * safer than to ignore it silently.
 */
const missingFeatures: Readonly<Record<string, readonly FlagName[]>> = {
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

/** Maps each unsupported flag to the feature that it needs. */
export function unsupportedFlags(): ReadonlyMap<FlagName, string> {
  const entries = Object.entries(missingFeatures);
  return new Map(entries.flatMap(([feature, flags]) => flags.map((flag) => [flag, feature] as const)));
}

/** @returns an error text for the first unsupported flag that is set to another value than its default */
export function unsupportedFlagFault(values: FlagValues): string | undefined {
  const unsupported = unsupportedFlags();
  for (const flag of flagDefinitions) {
    const feature = unsupported.get(flag.name);
    if (feature === undefined) continue;
    if (JSON.stringify(values[flag.name]) !== JSON.stringify(defaultValue(flag))) {
      return `--${flag.name} needs ${feature}, which this version of Keystead does not support yet`;
    }
  }
  return undefined;
}

/** Flags that apply only to etcd's own store and log. They are accepted with a warning and have no effect. */
export const flagsWithoutEffect: ReadonlySet<FlagName> = new Set([
  'backend-bbolt-freelist-type',
  'backend-batch-interval',
  'backend-batch-limit',
  'bootstrap-defrag-threshold-megabytes',
  'max-snapshots',
  'max-wals',
  'unsafe-no-fsync',
]);
