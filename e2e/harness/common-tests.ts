import { chmodSync, existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './command.ts';
import { keysteadBundle, repositoryRoot, requirePeer } from './paths.ts';
import { serverUnderTest } from './member.ts';
import { tempDir } from './temp-dir.ts';

export type Outcome = 'pass' | 'fail' | 'skip';

export interface CommonRun {
  /** Outcome of every test and subtest that ran, by its full name. */
  outcomes: Map<string, Outcome>;
  output: string;
}

/** All tests in etcd's `tests/common` binary. */
export async function listCommonTests(): Promise<string[]> {
  const result = await runCommand(requirePeer('common.test'), ['-test.list', '.*'], {
    cwd: await commonFolder(),
  });
  return result.stdout.split('\n').filter((line) => line.startsWith('Test'));
}

/** Runs tests whose names match the pattern (in the syntax of Go's -test.run) against the server under test. */
export async function runCommonTests(pattern: string, timeoutMs: number): Promise<CommonRun> {
  const args = ['-bin-dir', binaryFolder(), '-test.run', pattern, '-test.v', `-test.timeout=${timeoutMs}ms`];
  const result = await runCommand(requirePeer('common.test'), args, {
    cwd: await commonFolder(),
    timeoutMs: timeoutMs + 10_000,
    // Leaves out the clusters with TLS chosen by themselves; the cases that remain are picked by name.
    env: { E2E_TEST_MINIMAL: 'true' },
  });
  const output = result.stdout + result.stderr;
  return { outcomes: readOutcomes(output), output };
}

/** What the run printed about one test: its own lines up to its verdict, shortened. */
export function excerptOf(output: string, test: string): string {
  const lines = output.split('\n');
  const start = lines.findIndex((line) => line.startsWith('=== RUN') && line.endsWith(` ${test}`));
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

/** A folder that holds the server under test by the name `etcd`, and etcd's own tools. */
function binaryFolder(): string {
  const folder = tempDir('common-bin');
  for (const tool of ['etcdctl', 'etcdutl'] as const) symlinkSync(requirePeer(tool), join(folder, tool));
  const server = join(folder, 'etcd');
  if (serverUnderTest === 'etcd') {
    symlinkSync(requirePeer('etcd'), server);
  } else {
    // The harness signals the process it started, so the shell has to become the server.
    writeFileSync(server, `#!/bin/sh\nexec '${process.execPath}' '${keysteadBundle()}' "$@"\n`);
    chmodSync(server, 0o755);
  }
  return folder;
}

/** The tests look for certificates in ../fixtures, so they run inside their own module. */
async function commonFolder(): Promise<string> {
  const cwd = join(repositoryRoot, 'e2e/peers');
  const module = 'go.etcd.io/etcd/tests/v3';
  const found = await runCommand('go', ['list', '-m', '-f', '{{.Dir}}', module], { cwd, timeoutMs: 120_000 });
  const folder = join(found.stdout.trim(), 'common');
  if (found.code !== 0 || !existsSync(folder))
    throw new Error(`the sources of ${module} are not there: ${found.stderr}`);
  return folder;
}
