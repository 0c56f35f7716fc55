import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli, subcommands } from '../dispatch.ts';
import { type Command, commandTable } from './commands.ts';

/** Commands that only say why they do nothing. */
const ABSENT = ['gateway', 'grpc-proxy'];
const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

const folder = mkdtempSync(join(tmpdir(), 'completion-'));
let table: Command[];

async function output(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const code = await runCli({
    args,
    environment: {},
    serve: () => Promise.resolve(0),
    out: (text) => void (out += text),
    err: (text) => void (err += text),
  });
  return { code, out, err };
}

function isInstalled(shell: Shell): boolean {
  try {
    execFileSync(shell, ['-c', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

beforeAll(async () => {
  table = await commandTable();
  for (const shell of SHELLS) writeFileSync(join(folder, shell), (await output('completion', shell)).out);
  mkdirSync(join(folder, 'files', 'a-folder'), { recursive: true });
  writeFileSync(join(folder, 'files', 'a-file'), '');
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

it('every command of the program is in the table', () => {
  const first = new Set(table.map(({ words }) => words.split(' ')[0]).filter((word) => word !== ''));
  expect([...first].toSorted()).toEqual(
    Object.keys(subcommands)
      .filter((name) => !ABSENT.includes(name))
      .toSorted(),
  );
});

it('the help of each command, with exit code 0, has exactly the flags of the table', async () => {
  for (const { words, flags } of table.filter((command) => !['', 'help'].includes(command.words))) {
    const { code, out, err } = await output(...words.split(' '), '--help');
    expect({ words, code, err }).toEqual({ words, code: 0, err: '' });
    const common = words.startsWith('backup ') ? (await output('backup', '--help')).out : '';
    const shown = new Set([...(out + common).matchAll(/--([a-z][a-z-]+)/g)].map(([, name = '']) => name));
    const missing = flags.map(({ name }) => name).filter((name) => !shown.has(name));
    // Not needed in a help that is being read, and the name of --output in etcdutl.
    expect({ words, missing: missing.filter((name) => name !== 'help' && name !== 'write-out') }).toEqual({
      words,
      missing: [],
    });
    // Flags of a column of flags.
    const listed = [...out.matchAll(/^ {2}(?:-\w, )?--([a-z-]+)(?:, --([a-z-]+))?/gm)].flatMap(([, a, b]) =>
      b === undefined ? [a] : [a, b],
    );
    const names = flags.map(({ name }) => name);
    expect({ words, unknown: listed.filter((name) => !names.includes(name ?? '')) }).toEqual({
      words,
      unknown: [],
    });
  }
}, 60_000);

it('another shell is a usage error', async () => {
  expect(await output('completion', 'tcsh')).toMatchObject({ code: 2, out: '' });
  expect(await output('completion')).toMatchObject({ code: 2, out: '' });
});

/** Each shell completes the last of these words. */
const complete: Readonly<Record<Shell, (words: readonly string[]) => string>> = {
  // As readline calls the function: the words are split at equals signs as well.
  bash: (words) => {
    const split = words.flatMap((word) => word.split(/(=)/).filter((part, at) => at === 0 || part !== ''));
    const line = split.map((word) => `'${word}'`).join(' ');
    return `compopt() { :; }; source ${join(folder, 'bash')}
      COMP_WORDS=(${line}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _keystead
      printf '%s\\n' "\${COMPREPLY[@]}"`;
  },
  // The functions of zsh's completion system exist only while it runs in a terminal, so they are replaced.
  zsh: (words) => `
      compdef() { :; }
      compset() { cur=\${cur#*=}; }
      compadd() { shift; for each in "$@"; do [[ $each == \${words[CURRENT]#*=}* ]] && print -r -- $each; done; }
      _files() { if [[ $1 == -/ ]]; then print -rl -- *(/); else print -rl -- *; fi; }
      source ${join(folder, 'zsh')}
      words=(${words.map((word) => `'${word}'`).join(' ')}); CURRENT=\${#words}; _keystead; true`,
  fish: (words) =>
    `source ${join(folder, 'fish')}; complete -C '${words.join(' ')}' | string replace -r '\\t.*' ''; true`,
};

function completions(shell: Shell, ...words: readonly string[]): string[] {
  const args = { bash: ['--norc', '-c'], zsh: ['-f', '-c'], fish: ['--no-config', '-c'] }[shell];
  const text = execFileSync(shell, [...args, complete[shell](['keystead', ...words])], {
    cwd: join(folder, 'files'),
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: folder, TERM: 'dumb' },
  });
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.replace(/^.*=/, '').replace(/\/$/, ''))
    .toSorted();
}

describe.each(SHELLS)('completion in %s', (shell) => {
  const installed = isInstalled(shell);
  describe.skipIf(!installed)(installed ? '' : `skipped: ${shell} is not installed`, () => {
    it.each([
      { words: ['ve'], found: ['verify', 'version'] },
      { words: ['backup', ''], found: ['list', 'prune', 'restore', 'run', 'verify'] },
      { words: ['backup', 're'], found: ['restore'] },
      { words: ['bench', 'l'], found: ['list'] },
      { words: ['completion', ''], found: ['bash', 'fish', 'zsh'] },
      { words: ['doctor', '--end'], found: ['--endpoints'] },
      { words: ['backup', 'run', '--keep-'], found: ['--keep-days', '--keep-last'] },
      { words: ['doctor', '-o', ''], found: ['json', 'text'] },
      { words: ['top', '--output', ''], found: ['json', 'table'] },
      { words: ['top', '--sort=k'], found: ['keys'] },
      { words: ['top', '--endpoints', 'verify', '--so'], found: ['--sort'] },
      { words: ['verify', '--data-dir', 'a-'], found: ['a-folder'] },
      { words: ['doctor', '--cacert', 'a-f'], found: ['a-file', 'a-folder'] },
      { words: ['--initial-cluster-s'], found: ['--initial-cluster-state'] },
      { words: ['--log-level', 'pa'], found: ['panic'] },
      { words: ['doctor', '--endpoints', ''], found: [] },
    ])('of $words', ({ words, found }) => {
      const offered = completions(shell, ...words);
      const last = (words.at(-1) ?? '').replace(/^.*=/, '');
      expect(offered.filter((word) => word.startsWith(last))).toEqual(found);
    });

    it('of an empty command line offers every command', () => {
      const offered = completions(shell, '');
      expect(offered).toEqual(
        Object.keys(subcommands)
          .filter((name) => !ABSENT.includes(name))
          .toSorted(),
      );
    });
  });
});
