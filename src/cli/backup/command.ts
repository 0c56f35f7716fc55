import { tmpdir } from 'node:os';
import { BackupKey } from '../../backup/encryption.ts';
import { openPlace } from '../../backup/open-place.ts';
import type { BackupPlace } from '../../backup/place.ts';
import type { Retention } from '../../backup/retention.ts';
import { reasonOf } from '../../lib/text.ts';

export interface CommandInput {
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

export interface BackupCommand {
  readonly usage: string;
  /** Returns the exit code. Rejects with a UsageError for invalid arguments. */
  readonly run: (input: CommandInput) => Promise<number>;
}

export class UsageError extends Error {}

/** Turns any error of parsing into a UsageError. */
export async function parsed<T>(parse: () => T | Promise<T>): Promise<T> {
  try {
    return await parse();
  } catch (error) {
    throw new UsageError(reasonOf(error), { cause: error });
  }
}

/** The flags of all backup commands, for `parseArgs`. */
export const placeFlags = {
  url: { type: 'string' },
  'key-file': { type: 'string' },
  'temp-dir': { type: 'string' },
  output: { type: 'string', short: 'o', default: 'text' },
} as const;

export interface PlaceSettings {
  readonly place: BackupPlace;
  readonly key: BackupKey | undefined;
  readonly temporary: string;
  readonly isJson: boolean;
}

type Values = Readonly<Record<string, string | boolean | undefined>>;

/** @throws Error if a value is missing or invalid, or the key cannot be read */
export async function placeSettings(
  values: Values,
  environment: CommandInput['environment'],
): Promise<PlaceSettings> {
  const text = (name: string, variable?: string): string | undefined => {
    const value = values[name] ?? (variable === undefined ? undefined : environment[variable]);
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const url = text('url', 'KEYSTEAD_BACKUP_URL');
  if (url === undefined) throw new Error('--url is missing');
  const output = text('output') ?? 'text';
  if (output !== 'text' && output !== 'json') throw new Error('--output must be text or json');
  const keyFile = text('key-file', 'KEYSTEAD_BACKUP_KEY_FILE');
  return {
    place: await openPlace(url, environment),
    key: keyFile === undefined ? undefined : BackupKey.read(keyFile),
    temporary: text('temp-dir') ?? tmpdir(),
    isJson: output === 'json',
  };
}

/** The flags of retention, for `parseArgs`. */
export const retentionFlags = {
  'keep-last': { type: 'string' },
  'keep-days': { type: 'string' },
} as const;

export const RETENTION_USAGE = `  --keep-last                     Keeps this many of the newest backups of each cluster
  --keep-days                     Keeps the backups that are younger than this many days

A backup is removed if no given rule keeps it. The newest verified backup of each cluster is never removed.
`;

/** @throws Error if a value is invalid */
export function retentionOf(values: Values): Retention {
  const number = (name: string): number | undefined => {
    const value = values[name];
    if (typeof value !== 'string') return undefined;
    const count = Number(value);
    if (value.trim() === '' || !Number.isSafeInteger(count) || count < 0)
      throw new Error(`--${name} must be a number, not ${value}`);
    return count;
  };
  return { keepLast: number('keep-last'), keepDays: number('keep-days') };
}
