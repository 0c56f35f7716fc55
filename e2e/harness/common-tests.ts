import { chmodSync, existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './command.ts';
import { keysteadBundle, repositoryRoot, requirePeer } from './paths.ts';
import { nodePath, serverUnderTest, threadFlags } from './member.ts';
import { tempDir } from './temp-dir.ts';

export type Outcome = 'pass' | 'fail' | 'skip';

export interface CommonRun {
  /** Outcome of every test and subtest that ran, by its full name. */
  outcomes: Map<string, Outcome>;
  output: string;
}

export interface CommonOptions {
  /** The kind of cluster. */
  variant: string;
  attempts: number;
  timeoutMs: number;
  /** Whether a test or subtest may skip itself. After a timeout, all later tests are skipped. */
  maySkip: (name: string) => boolean;
}

/** All tests in etcd's `tests/common` binary. */
export async function listCommonTests(): Promise<string[]> {
  const result = await runCommand(requirePeer('common.test'), ['-test.list', '.*'], { cwd: commonFolder() });
  return result.stdout.split('\n').filter((line) => line.startsWith('Test'));
}

/**
 * Runs tests by name against the server under test, with the kind of cluster given by the variant (see e2e/common). The
 * tests have deadlines, and a timeout ends the run for all later tests. Tests that have not passed are run again, up to
 * `attempts` times.
 */
export async function runCommonTests(
  tests: readonly string[],
  { variant, attempts, timeoutMs, maySkip }: CommonOptions,
): Promise<CommonRun> {
  const outcomes = new Map<string, Outcome>();
  const outputs: string[] = [];
  let open = tests;
  for (let attempt = 0; attempt < attempts && open.length > 0; attempt += 1) {
    for (const name of outcomes.keys()) if (open.some((test) => isOf(test, name))) outcomes.delete(name);
    const output = await runOnce(open, variant, timeoutMs);
    outputs.push(output);
    for (const [name, outcome] of readOutcomes(output)) outcomes.set(name, outcome);
    open = open.filter((test) => !isSettled(outcomes.get(test), maySkip(test)));
    if (open.length > 0) console.warn(`attempt ${attempt + 1}: did not pass: ${open.join(', ')}`);
  }
  return { outcomes, output: outputs.join('') };
}

function isSettled(outcome: Outcome | undefined, maySkip: boolean): boolean {
  return outcome === 'pass' || (outcome === 'skip' && maySkip);
}

/** Whether a test or subtest belongs to this test. */
export function isOf(test: string, name: string): boolean {
  return name === test || name.startsWith(`${test}/`);
}

async function runOnce(tests: readonly string[], variant: string, timeoutMs: number): Promise<string> {
  const args = ['-bin-dir', binaryFolder(), '-test.run', `^(${tests.join('|')})$`, '-test.v'];
  const result = await runCommand(requirePeer('common.test'), [...args, `-test.timeout=${timeoutMs}ms`], {
    cwd: commonFolder(),
    timeoutMs: timeoutMs + 10_000,
    env: { COMMON_VARIANT: variant },
  });
  return result.stdout + result.stderr;
}

/** Returns the last output of one test up to its result, shortened. */
export function excerptOf(output: string, test: string): string {
  const lines = output.split('\n');
  const start = lines.findLastIndex((line) => line.startsWith('=== RUN') && line.endsWith(` ${test}`));
  const end = lines.findIndex(
    (line, index) => index > start && line.startsWith('=== RUN') && !line.includes(` ${test}`),
  );
  const own = lines.slice(Math.max(start, 0), end === -1 ? undefined : end);
  return own
    .filter((line) => !line.includes('spawning process'))
    .slice(-60)
    .join('\n');
}

function readOutcomes(output: string): Map<string, Outcome> {
  const outcomes = new Map<string, Outcome>();
  for (const match of output.matchAll(/^\s*--- (PASS|FAIL|SKIP): (\S+) \(/gm)) {
    const [, verdict, name] = match;
    if (verdict !== undefined && name !== undefined) outcomes.set(name, verdict.toLowerCase() as Outcome);
  }
  return outcomes;
}

/** Creates a directory with the server under test as `etcd`, real etcd under another name, and its tools. */
function binaryFolder(): string {
  const folder = tempDir('common-bin');
  for (const tool of ['etcdctl', 'etcdutl'] as const) symlinkSync(requirePeer(tool), join(folder, tool));
  symlinkSync(requirePeer('etcd'), join(folder, 'etcd-last-release'));
  const server = join(folder, 'etcd');
  if (serverUnderTest === 'etcd') {
    symlinkSync(requirePeer('etcd'), server);
  } else {
    // The test framework sends signals to the process that it started, so the shell must exec the server.
    const command = [`'${nodePath}'`, `'${keysteadBundle()}'`, ...threadFlags].join(' ');
    writeFileSync(server, `#!/bin/sh\nexec ${command} "$@"\n`);
    chmodSync(server, 0o755);
  }
  return folder;
}

/** The tests look for certificates in ../fixtures, so they run inside the module they were built from. */
function commonFolder(): string {
  const folder = join(repositoryRoot, '.cache/peers/common/tests/common');
  if (!existsSync(folder))
    throw new Error(`the sources of common.test are missing: run scripts/build-peers.sh`);
  return folder;
}
