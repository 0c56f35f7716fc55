/*
 * Generates the tables of flags, RPCs and metrics in docs/compatibility.md from the code.
 *
 *   npx tsx scripts/compatibility-table.ts
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { flagDefinitions, listedOnlyFlags } from '../src/config/flags.ts';
import { flagsWithoutEffect } from '../src/config/unsupported-flags.ts';
import { EventLoopDelay } from '../src/metrics/event-loop.ts';
import { Metrics } from '../src/metrics/metrics.ts';
import { Registry } from '../src/metrics/registry.ts';
import * as services from '../src/wire/services.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const page = join(root, 'docs/compatibility.md');

/** Flags that behave differently from etcd's. */
const flagDifferences: Readonly<Record<string, string>> = {
  'force-new-cluster': 'keeps everything that the store has applied; etcd may lose the last writes',
  'log-outputs': '`systemd/journal` writes to stderr; systemd forwards it to the journal',
  'enable-pprof': 'profiles are those of V8: `profile` and `heap`',
  'socket-reuse-address': 'always on',
  'socket-reuse-port': 'needs Node.js 22.12 or later; the server refuses to start with it on an older one',
  'config-file': 'YAML syntax errors have another text',
};

/** Flags that etcd does not have. */
const ownFlags: Readonly<Record<string, string>> = {
  'keystead-block-cache-bytes': 'size of the block cache of the store',
  'keystead-list-cache-bytes': 'size of the cache of values read by range requests; allocated as needed',
  'keystead-max-logins-per-second': 'logins started per second; others wait in a queue of at most 10,000',
  'keystead-serving-threads':
    'threads that serve client connections; the default depends on the cores, see [Serving threads](threads.md#the-default)',
  'keystead-raft-thread': 'raft and its log in a thread of their own; off by default',
  'keystead-max-connections': 'client connections per listen URL; more are closed at once',
  'keystead-max-held-bytes':
    'bytes buffered for requests not received completely and responses not sent yet; above it, the connections that hold most are closed',
  'keystead-max-snapshot-streams': 'snapshots sent to clients at the same time; others wait in a queue',
  'keystead-max-hashes': 'store hashes computed for clients at the same time; others wait in a queue',
  'keystead-max-inflight-bytes': 'bytes of requests of 4 KiB or more in flight; above it they are refused',
  'keystead-catchup-bytes':
    'log entries that a leader keeps in memory for members that lag; members that lag further get a snapshot',
  'keystead-usage-prefixes': 'prefixes of keys whose usage is counted; off by default',
  'keystead-usage-max-prefixes': 'number of prefixes that are counted; further ones are counted as `other`',
  'keystead-backup-url': 'where the leader stores backups; off by default',
  'keystead-backup-interval': 'time between two backups',
  'keystead-backup-key-file': 'key that backups are encrypted with',
  'keystead-backup-keep-last': 'number of the newest backups that are kept',
  'keystead-backup-keep-days': 'days that backups are kept',
  'keystead-backup-log-interval': 'how often the leader stores the log between the backups',
  'keystead-backup-log-max-bytes': 'changes in memory that wait to be stored',
  'keystead-status-urls': 'URLs of the status page; off by default',
  'audit-log-path': 'one line of JSON per request; `-` means standard output',
  'audit-log-level': '`write`; `all` logs reads as well',
  'audit-log-max-size': 'size in megabytes at which the audit log file is rotated',
  'audit-log-max-backups': 'number of rotated audit log files to keep',
  'learner-reads': 'a learner also serves linearizable reads, after a read index from the leader',
  'keystead-auto-disarm':
    'the leader compacts and disarms the NOSPACE alarm; see [Space](operations.md#space)',
  'keystead-auto-disarm-percent': 'percent of the quota below which the alarm is disarmed',
  'auto-promote-learners': 'the leader promotes learners that are connected and have caught up',
};

/** RPCs that behave differently from etcd's, by `service/method`. */
const rpcDifferences: Readonly<Record<string, string>> = {
  'etcdserverpb.Maintenance/Defragment': 'never blocks reads or writes',
};

/** The help text of a metric that is always zero gives the reason. */
function metricStatus(name: string, help: string): string {
  if (/always (0|empty)/.test(help)) return `always zero: ${help.replace(/; always .*/, '').toLowerCase()}`;
  return name.startsWith('keystead_') ? "Keystead's own" : 'supported';
}

function flagStatus(name: (typeof flagDefinitions)[number]['name']): string {
  if (name === 'memory-mlock')
    return 'accepted with a warning in the log, no effect: it locks the mapped database file of etcd, which Keystead does not have';
  if (flagsWithoutEffect.has(name))
    return 'accepted with a warning in the log, no effect: applies only to the storage of etcd';
  const own = ownFlags[name];
  if (own !== undefined) return `Keystead's own: ${own}`;
  const difference = flagDifferences[name];
  return difference === undefined ? 'supported' : `differs: ${difference}`;
}

function flagTable(): string[] {
  const rows = flagDefinitions.map(({ name }) => `| \`--${name}\` | ${flagStatus(name)} |`);
  const listed = [...listedOnlyFlags].map(
    (name) => `| \`--${name}\` | an error as in etcd, although the help of etcd lists it |`,
  );
  return ['| flag | |', '| --- | --- |', ...rows, ...listed];
}

function rpcTable(): string[] {
  const rows: string[] = [];
  // The order of a module's exports depends on the loader.
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

/** Returns the text of the page with new tables. */
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
    if (start < 0 || end < start) throw new Error(`docs/compatibility.md has no ${open} or ${close}`);
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
