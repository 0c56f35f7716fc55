import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandTable } from './completion/commands.ts';
import { runCli } from './dispatch.ts';

const folder = mkdtempSync(join(tmpdir(), 'exit-codes-'));
const place = join(folder, 'place');
const missing = join(folder, 'missing');
let endpoint = '';

beforeAll(async () => {
  mkdirSync(place);
  writeFileSync(join(folder, 'file'), 'no snapshot');
  // A port at which nobody listens.
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  endpoint = `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 1}`;
  await new Promise((resolve) => server.close(resolve));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function codeOf(words: string, ...args: readonly string[]): Promise<number> {
  return runCli({
    args: [...words.split(' '), ...args],
    environment: {},
    serve: () => Promise.resolve(0),
    out: () => undefined,
    err: () => undefined,
  });
}

/** Rows of the table: the command, and what each of its exit codes means; empty for a code that it does not have. */
const rows = new Map(
  [
    ...readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8').matchAll(
      /^\| (?:`([a-z ]+)`|the server) +\| (.*?) +\| (.*?) *\| (.*?) +\|$/gm,
    ),
  ].map(([, command = '', ...codes]) => [command, codes.map((text) => text.trim())] as const),
);

/** A run of each command that fails: nobody answers, or there is no data. */
const failures: Readonly<Record<string, () => Promise<number>>> = {
  import: () => codeOf('import', '--from', missing, '--data-dir', join(folder, 'new')),
  'snapshot save': () => codeOf('snapshot save', join(folder, 'x.db'), '--endpoints', endpoint),
  'snapshot restore': () =>
    codeOf('snapshot restore', join(folder, 'file'), '--data-dir', join(folder, 'restored')),
  'backup run': () => codeOf('backup run', '--url', place, '--endpoints', endpoint),
  'backup list': () => codeOf('backup list', '--url', join(folder, 'file')),
  'backup verify': () => codeOf('backup verify', '--url', place),
  'backup restore': () => codeOf('backup restore', '--url', place, '--data-dir', join(folder, 'restored')),
  'backup prune': () => codeOf('backup prune', '--url', join(folder, 'file'), '--keep-last=1'),
  'migrate check': () => codeOf('migrate check', '--endpoints', endpoint, '--command-timeout=1'),
  'member remove': () =>
    codeOf('member remove', '--name-prefix=a-', '--from-ordinal=1', '--endpoints', endpoint, '--wait=0'),
  top: () => codeOf('top', '--endpoints', endpoint),
  bench: () => codeOf('bench put', '--total=1', '--endpoints', endpoint, '--command-timeout=1'),
};

describe('exit codes in docs/operations.md', () => {
  it('has a row for each command', async () => {
    const commands = (await commandTable()).map(({ words }) => words);
    expect([...rows.keys()].toSorted()).toEqual(commands.filter((words) => words !== 'help').toSorted());
  });

  it('a wrong command line ends with 2', async () => {
    for (const [words, [, , two]] of rows) {
      const args = words === '' ? [] : words.split(' ');
      const code = await codeOf([...args, '--nope'].join(' '));
      expect({ words, code, two }).toEqual({
        words,
        code: 2,
        two: expect.stringContaining('a wrong command line') as string,
      });
    }
  });

  it('a failure ends with 1', async () => {
    for (const [words, fail] of Object.entries(failures)) {
      expect({ words, code: await fail() }).toEqual({ words, code: 1 });
      expect(rows.get(words)?.[1]).not.toBe('');
    }
  }, 60_000);

  it('a check that fails ends with 2, where 1 has another meaning', async () => {
    expect(await codeOf('verify', '--data-dir', missing)).toBe(2);
    expect(await codeOf('doctor', '--endpoints', endpoint)).toBe(2);
  });

  it('success ends with 0', async () => {
    for (const args of [
      ['version'],
      ['version', '-o', 'json'],
      ['completion', 'bash'],
      ['help'],
      ['--version'],
    ])
      expect(await codeOf(args[0] ?? '', ...args.slice(1))).toBe(0);
    expect(await codeOf('backup list', '--url', place)).toBe(0);
    expect(await codeOf('backup prune', '--url', place, '--keep-last=1')).toBe(0);
  });
});
