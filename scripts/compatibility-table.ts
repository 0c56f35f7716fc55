/*
 * Writes the tables of docs/compatibility.md from what the code knows: flags, RPCs and metrics.
 *
 *   npx tsx scripts/compatibility-table.ts
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { flagDefinitions, listedOnlyFlags } from '../src/config/flags.ts';
import { flagsNotYet, flagsWithoutEffect } from '../src/config/not-yet.ts';
import { EventLoopDelay } from '../src/metrics/event-loop.ts';
import { Metrics } from '../src/metrics/metrics.ts';
import { Registry } from '../src/metrics/registry.ts';
import * as services from '../src/wire/services.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const page = join(root, 'docs/compatibility.md');

/** Flags that are there and yet do not do what etcd's do. */
const flagDifferences: Readonly<Record<string, string>> = {
  'force-new-cluster': 'keeps what the store has applied, where etcd may lose the last writes',
  'log-outputs': '`systemd/journal` writes to stderr, which a service manager hands to the journal',
  'enable-pprof': 'profiles are those of V8: `profile` and `heap`',
  'socket-reuse-address': 'always on',
  'config-file': 'YAML; errors in its syntax are worded otherwise',
};

/** Flags that etcd does not have. */
const ownFlags: Readonly<Record<string, string>> = {
  'keystead-block-cache-bytes': 'memory for blocks of the store',
  'keystead-list-cache-bytes': 'memory for values that lists have read; taken as lists need it',
  'keystead-max-logins-per-second': 'logins begun in a second; further ones wait in line, 10,000 at most',
  'keystead-max-connections': 'client connections on each address; beyond it they are closed at once',
  'keystead-max-held-bytes':
    'bytes of requests not whole yet and responses not taken; above it, connections that hold the most are closed',
  'keystead-max-snapshot-streams': 'snapshots sent to clients at a time; further ones wait in line',
  'keystead-max-hashes': 'hashes of the store made for clients at a time; further ones wait in line',
  'keystead-max-inflight-bytes': 'bytes of requests of 4 KiB or more under way; beyond it they are refused',
  'audit-log-path': 'a line of JSON for each request; `-` for standard output',
  'audit-log-level': '`write`, or `all` for reads as well',
  'audit-log-max-size': 'megabytes of a file of it',
  'audit-log-max-backups': 'files of it that are kept',
  'learner-reads': 'a learner answers linearizable reads too, after asking the leader what it has committed',
  'auto-promote-learners': 'the leader promotes learners that are connected and have caught up',
};

/** RPCs whose answers differ from etcd's, by `service/method`. */
const rpcDifferences: Readonly<Record<string, string>> = {
  'etcdserverpb.Maintenance/Defragment': 'never blocks reads or writes',
};

/** Metrics that stay empty, and why. */
function metricStatus(name: string, help: string): string {
  if (/always (0|empty)/.test(help)) return `always zero: ${help.replace(/; always .*/, '').toLowerCase()}`;
  return name.startsWith('keystead_') ? "Keystead's own" : 'supported';
}

function flagStatus(name: (typeof flagDefinitions)[number]['name']): string {
  const capability = flagsNotYet().get(name);
  if (capability !== undefined) return `absent for now, refused by name: ${capability}`;
  if (flagsWithoutEffect.has(name))
    return 'accepted without effect, and said so in the log: bbolt alone has it';
  const own = ownFlags[name];
  if (own !== undefined) return `Keystead's own: ${own}`;
  const difference = flagDifferences[name];
  return difference === undefined ? 'supported' : `differs: ${difference}`;
}

function flagTable(): string[] {
  const rows = flagDefinitions.map(({ name }) => `| \`--${name}\` | ${flagStatus(name)} |`);
  const listed = [...listedOnlyFlags].map(
    (name) => `| \`--${name}\` | an error, as in etcd, whose help still lists it |`,
  );
  return ['| flag | |', '| --- | --- |', ...rows, ...listed];
}

function rpcTable(): string[] {
  const rows: string[] = [];
  // A module's names come in an order of the loader's choice.
  const byName = Object.values(services).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const service of byName) {
    for (const { path } of Object.values(service.methods as Record<string, { path: string }>)) {
      const name = path.slice(1);
      const difference = rpcDifferences[name];
      rows.push(`| ${name} | ${difference ?? 'supported'} |`);
    }
  }
  return ['| RPC | |', '| --- | --- |', ...rows];
}

function metricTable(): string[] {
  const eventLoop = new EventLoopDelay();
  eventLoop.stop();
  const versions = { server: '', runtime: '' };
  const registry = new Registry({ metrics: new Metrics(), versions, eventLoop, extensive: false });
  const families = [...registry.families()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const rows = families.map(({ name, type, help }) => `| ${name} | ${type} | ${metricStatus(name, help)} |`);
  return ['| metric | type | |', '| --- | --- | --- |', ...rows];
}

/** The page's text with its tables made anew. */
export function renderCompatibility(text: string): string {
  let rendered = text;
  for (const [name, table] of [
    ['flags', flagTable()],
    ['rpcs', rpcTable()],
    ['metrics', metricTable()],
  ] as const) {
    const [open, close] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
    const start = rendered.indexOf(open);
    const end = rendered.indexOf(close);
    if (start < 0 || end < start) throw new Error(`docs/compatibility.md lacks ${open} and ${close}`);
    rendered = `${rendered.slice(0, start)}${open}\n\n${table.join('\n')}\n\n${rendered.slice(end)}`;
  }
  return rendered;
}

export function readCompatibility(): string {
  return readFileSync(page, 'utf8');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(page, renderCompatibility(readCompatibility()));
}
