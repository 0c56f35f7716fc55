import { labelled, type Family, type Sample } from './family.ts';
import type { Metrics } from './metrics.ts';

/** What is counted for one prefix of keys. */
export interface UsageCounts {
  readonly prefix: string;
  readonly keys: number;
  readonly bytes: number;
  readonly historyBytes: number;
  readonly writes: number;
  readonly watchers: number;
}

/** The usage by prefix. */
export interface UsageSource {
  /** Whether keys and bytes are known. */
  readonly isComplete: boolean;
  counts(): readonly UsageCounts[];
}

/** The usage by prefix. All are left out when nothing is counted, and keys and bytes until they are known. */
export function usageFamilies(metrics: Metrics): Family[] {
  const always = (read: (counts: UsageCounts) => number) => (): Sample[] =>
    (metrics.usage?.counts() ?? []).map((counts) => [[['prefix', counts.prefix]], read(counts)]);
  const known = (read: (counts: UsageCounts) => number) => (): Sample[] =>
    metrics.usage?.isComplete === true ? always(read)() : [];
  return [
    labelled(
      'gauge',
      'keystead_usage_complete',
      'Whether keys and bytes by prefix are known; 0 while they are counted after a start.',
      () => (metrics.usage === undefined ? [] : [[[], metrics.usage.isComplete ? 1 : 0]]),
    ),
    labelled(
      'gauge',
      'keystead_usage_keys',
      'Keys by prefix.',
      known(({ keys }) => keys),
    ),
    labelled(
      'gauge',
      'keystead_usage_bytes',
      'Bytes of all stored revisions by prefix, as the quota counts them.',
      known(({ bytes }) => bytes),
    ),
    labelled(
      'gauge',
      'keystead_usage_history_bytes',
      'The part of keystead_usage_bytes that is history, which compactions remove.',
      known(({ historyBytes }) => historyBytes),
    ),
    labelled(
      'counter',
      'keystead_usage_writes_total',
      'Keys put and deleted by prefix.',
      always(({ writes }) => writes),
    ),
    labelled(
      'gauge',
      'keystead_usage_watchers',
      'Watchers of this member by prefix.',
      always(({ watchers }) => watchers),
    ),
  ];
}
