import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfChangeCases, runQuorumCase } from './testing/cases.ts';
import { runCommand } from './testing/commands.ts';
import { runScript } from './testing/datadriven.ts';
import type { Directive } from './testing/datadriven.ts';
import { Interaction } from './testing/interaction.ts';

const VERSION = 'v3.7.0';

/** Where Go keeps the sources of go.etcd.io/raft, or why they are not there. */
function findModule(): { dir: string } | { missing: string } {
  try {
    const cache = execFileSync('go', ['env', 'GOMODCACHE'], { encoding: 'utf8' }).trim();
    const dir = join(cache, 'go.etcd.io', 'raft', `v3@${VERSION}`);
    return existsSync(dir) ? { dir } : { missing: `go.etcd.io/raft ${VERSION} is not in Go's module cache` };
  } catch {
    return { missing: 'Go is not installed' };
  }
}

const module = findModule();

function goldenSuite(name: string, folder: string, newRunner: () => (directive: Directive) => string): void {
  describe(`go.etcd.io/raft ${name}`, () => {
    if ('missing' in module) {
      it.skip(`skipped: ${module.missing}`);
      return;
    }
    const dir = join(module.dir, folder);
    for (const file of readdirSync(dir).filter((each) => each.endsWith('.txt'))) {
      it(file, () => {
        expect(runScript(readFileSync(join(dir, file), 'utf8'), newRunner())).toEqual([]);
      });
    }
  });
}

goldenSuite('quorum', 'quorum/testdata', () => runQuorumCase);
goldenSuite('configuration changes', 'confchange/testdata', () => {
  const cases = new ConfChangeCases();
  return (directive) => cases.run(directive);
});
goldenSuite('interactions', 'testdata', () => {
  const env = new Interaction();
  return (directive) => runCommand(env, directive);
});
