import { FlagValueError, parseGoBool, quote } from './go-syntax.ts';

/** All gates of etcd 3.7.1 with default and stage. AllAlpha and AllBeta set the other gates of their stage. */
export const featureGates = {
  AllAlpha: { enabled: false, stage: 'ALPHA' },
  AllBeta: { enabled: false, stage: 'BETA' },
  CompactHashCheck: { enabled: false, stage: 'ALPHA' },
  FastLeaseKeepAlive: { enabled: true, stage: 'BETA' },
  InitialCorruptCheck: { enabled: false, stage: 'ALPHA' },
  LeaseCheckpoint: { enabled: false, stage: 'ALPHA' },
  LeaseCheckpointPersist: { enabled: false, stage: 'ALPHA' },
  PriorityRequest: { enabled: false, stage: 'ALPHA' },
  SetMemberLocalAddr: { enabled: false, stage: 'ALPHA' },
  StopGRPCServiceOnDefrag: { enabled: false, stage: 'ALPHA' },
  TxnModeWriteWithSharedBuffer: { enabled: true, stage: 'BETA' },
} as const;

export type FeatureGate = keyof typeof featureGates;

const allOfStage: Readonly<Partial<Record<FeatureGate, string>>> = { AllAlpha: 'ALPHA', AllBeta: 'BETA' };

/** The gates that the user set; all others keep their default. */
export type FeatureGateSettings = ReadonlyMap<FeatureGate, boolean>;

/**
 * Adds the gates of `A=true,B=false` to `before`.
 *
 * @throws FlagValueError with etcd's text
 */
export function parseFeatureGates(
  text: string,
  before: FeatureGateSettings = new Map(),
): FeatureGateSettings {
  const asked = new Map<string, boolean>();
  for (const pair of text.split(',')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = (equals < 0 ? pair : pair.slice(0, equals)).trim();
    if (equals < 0) throw new FlagValueError(`missing bool value for ${name}`);
    const word = pair.slice(equals + 1).trim();
    const value = parseGoBool(word);
    if (value === undefined) {
      const fault = `strconv.ParseBool: parsing ${quote(word)}: invalid syntax`;
      throw new FlagValueError(`invalid value of ${name}=${word}, err: ${fault}`);
    }
    asked.set(name, value);
  }
  const settings = new Map(before);
  for (const name of asked.keys()) {
    if (!isGate(name)) throw new FlagValueError(`unrecognized feature gate: ${name}`);
  }
  for (const [name, value] of asked) if (isGate(name)) settings.set(name, value);
  applyStageGates(asked, settings);
  return settings;
}

/** Applies AllAlpha and AllBeta. A gate that is set by its own name keeps that value. */
function applyStageGates(asked: ReadonlyMap<string, boolean>, settings: Map<FeatureGate, boolean>): void {
  for (const [name, value] of asked) {
    const stage = isGate(name) ? allOfStage[name] : undefined;
    if (stage === undefined) continue;
    for (const gate of gateNames()) {
      if (featureGates[gate].stage === stage && !settings.has(gate)) settings.set(gate, value);
    }
  }
}

export function gateNames(): FeatureGate[] {
  return Object.keys(featureGates).filter(isGate);
}

function isGate(name: string): name is FeatureGate {
  return Object.hasOwn(featureGates, name);
}

/** Each gate's effective state. */
export function resolveFeatureGates(settings: FeatureGateSettings): ReadonlyMap<FeatureGate, boolean> {
  return new Map(gateNames().map((gate) => [gate, settings.get(gate) ?? featureGates[gate].enabled]));
}

/** The settings as `A=true,B=false`, sorted by name. */
export function featureGateText(settings: FeatureGateSettings): string {
  return [...settings]
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join(',');
}
