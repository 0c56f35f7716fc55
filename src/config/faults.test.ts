import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadConfig, type LoadOutcome } from './load.ts';

/** How a real etcd 3.7.1 exited: with a text on stderr, or with a log line. */
interface Recorded {
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Contents of the configuration file. FILE in the arguments is replaced by its path. */
  readonly file?: string;
  readonly exitCode: number;
  readonly text?: string;
  readonly level?: string;
  readonly message?: string;
  readonly error?: string | null;
}

const recorded = JSON.parse(
  readFileSync(new URL('testdata/etcd-faults.json', import.meta.url), 'utf8'),
) as readonly Recorded[];

const folder = mkdtempSync(join(tmpdir(), 'config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function ending(outcome: LoadOutcome): Pick<Recorded, 'exitCode' | 'text' | 'level' | 'message' | 'error'> {
  if (outcome.kind === 'exit') {
    return { exitCode: outcome.exitCode, text: outcome.stderr.split('\n')[0] ?? '' };
  }
  if (outcome.kind !== 'failed') return { exitCode: 0 };
  const line = [...outcome.early, ...outcome.late].find(
    ({ level, message }) => level === 'fatal' || message === 'failed to verify flags',
  );
  const { error } = (line?.fields ?? {}) as { error?: string };
  return {
    exitCode: outcome.exitCode,
    level: line?.level ?? '',
    message: line?.message ?? '',
    error: error ?? null,
  };
}

describe('exits like the recorded etcd 3.7.1', () => {
  it.each(recorded.map((entry) => [describeEntry(entry), entry] as const))('%s', async (_name, entry) => {
    const { args, environment, file, ...expected } = entry;
    const path = join(folder, 'c.yaml');
    if (file !== undefined) writeFileSync(path, file);
    const outcome = await loadConfig({ args: args.map((arg) => (arg === 'FILE' ? path : arg)), environment });
    // Only the text of a Go panic is compared, not its prefix.
    const panic = expected.text?.replace(/^panic: /, '');
    expect(ending(outcome)).toEqual(panic === undefined ? expected : { ...expected, text: panic });
  });
});

function describeEntry({ args, environment, file }: Recorded): string {
  const variables = Object.entries(environment).map(([key, value]) => `${key}=${value}`);
  return [...variables, ...args, ...(file === undefined ? [] : [JSON.stringify(file)])].join(' ');
}
