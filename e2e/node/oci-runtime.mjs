#!/usr/bin/env node
// runc for machines whose root lacks CAP_SYS_RESOURCE, such as some virtual machines. Without it no process may get
// resource limits, a lower oom_score_adj or that capability itself, so these are removed from the container.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const args = process.argv.slice(2);

/** The value of an option that is given as `--name value` or `--name=value`. */
function option(...names) {
  for (const [index, arg] of args.entries())
    for (const name of names) {
      if (arg === name) return args[index + 1];
      if (arg.startsWith(`${name}=`)) return arg.slice(name.length + 1);
    }
  return undefined;
}

function edit(path, change) {
  if (path === undefined || !existsSync(path)) return;
  const value = JSON.parse(readFileSync(path, 'utf8'));
  change(value);
  writeFileSync(path, JSON.stringify(value));
}

function relieve(target) {
  delete target.rlimits;
  delete target.oomScoreAdj;
  for (const [set, names] of Object.entries(target.capabilities ?? {}))
    target.capabilities[set] = names.filter((name) => name !== 'CAP_SYS_RESOURCE');
}

if (args.includes('create') || args.includes('run'))
  edit(join(option('--bundle', '-b') ?? '.', 'config.json'), (config) => relieve(config.process));
if (args.includes('exec')) edit(option('--process', '-p'), relieve);

try {
  execFileSync('runc', args, { stdio: 'inherit' });
} catch (error) {
  process.exitCode = error.status ?? 1;
}
