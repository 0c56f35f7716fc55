import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  environmentName,
  flagDefinitions,
  type FlagDefinition,
  type FlagName,
} from '../../src/config/flags.ts';
import { parseGoDuration } from '../../src/config/go-syntax.ts';
import type { FlagTexts } from './flag-groups.ts';

/** What a start is given: arguments and environment. */
export interface Given {
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** The three ways to give flags. Each takes a folder for its own files. */
export const waysToGive: Readonly<Record<string, (texts: FlagTexts, folder: string) => Given>> = {
  'on the command line': (texts) => ({
    args: Object.entries(texts).map(([name, text]) => `--${name}=${text}`),
    env: {},
  }),
  'by the environment': (texts) => ({
    args: [],
    env: Object.fromEntries(Object.entries(texts).map(([name, text]) => [environmentName(name), text])),
  }),
  'by a configuration file': (texts, folder) => {
    const path = join(folder, 'config.yaml');
    // JSON is YAML as well.
    writeFileSync(path, JSON.stringify(fileContents(texts), undefined, 2));
    return { args: [`--config-file=${path}`], env: {} };
  },
};

/** Flags that a configuration file has no key for. */
export const notInFiles: ReadonlySet<FlagName> = new Set(
  flagDefinitions.filter(({ fileKey }) => fileKey === null).map(({ name }) => name),
);

function fileContents(texts: FlagTexts): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const flag of flagDefinitions) {
    const text = texts[flag.name];
    if (text === undefined || flag.fileKey === null) continue;
    const path = flag.fileKey ?? [flag.name];
    let at = root;
    for (const key of path.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>;
    at[path.at(-1) ?? ''] = fileValue(flag, text);
  }
  return root;
}

/** Numbers and booleans as such, durations in nanoseconds, and lists as lists. */
function fileValue({ name, kind }: FlagDefinition, text: string): unknown {
  switch (kind) {
    case 'bool':
      return text === 'true';
    case 'uint':
    case 'uint32':
    case 'uint64':
    case 'int':
    case 'int64':
      return Number(text);
    case 'uintOrAuto':
      return text === 'auto' ? text : Number(text);
    case 'duration':
      return (parseGoDuration(text) ?? NaN) * 1e6;
    case 'strings':
    case 'uniqueStrings':
      return name === 'host-whitelist' ? text : text.split(',');
    default:
      return text;
  }
}
