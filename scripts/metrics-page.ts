/*
 * Generates the tables of docs/metrics.md from the code.
 *
 *   npx tsx scripts/metrics-page.ts
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EventLoopDelay } from '../src/metrics/event-loop.ts';
import { Metrics } from '../src/metrics/metrics.ts';
import { Registry } from '../src/metrics/registry.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const page = join(root, 'docs/metrics.md');

/** Labels in a scrape of etcd 3.7.1. */
const scraped = JSON.parse(readFileSync(join(root, 'src/metrics/testdata/scrape.json'), 'utf8')) as {
  readonly name: string;
  readonly labels: readonly string[];
}[];

/** Labels of the families that a new etcd does not show, and of Keystead's own. */
const otherLabels: Readonly<Record<string, readonly string[]>> = {
  etcd_network_active_peers: ['Local', 'Remote'],
  etcd_network_disconnected_peers_total: ['Local', 'Remote'],
  etcd_network_peer_received_bytes_total: ['From'],
  etcd_network_peer_received_failures_total: ['From'],
  etcd_network_peer_round_trip_time_seconds: ['To'],
  etcd_network_peer_sent_bytes_total: ['To'],
  etcd_network_peer_sent_failures_total: ['To'],
  etcd_network_snapshot_receive_failures: ['From'],
  etcd_network_snapshot_receive_inflights_total: ['From'],
  etcd_network_snapshot_receive_success: ['From'],
  etcd_network_snapshot_receive_total_duration_seconds: ['From'],
  etcd_network_snapshot_send_failures: ['To'],
  etcd_network_snapshot_send_inflights_total: ['To'],
  etcd_network_snapshot_send_success: ['To'],
  etcd_network_snapshot_send_total_duration_seconds: ['To'],
  etcd_server_client_requests_total: ['client_api_version', 'type'],
  grpc_server_handling_seconds: ['grpc_method', 'grpc_service', 'grpc_type'],
  keystead_event_loop_delay_seconds: ['quantile'],
  keystead_usage_keys: ['prefix'],
  keystead_usage_bytes: ['prefix'],
  keystead_usage_history_bytes: ['prefix'],
  keystead_usage_writes_total: ['prefix'],
  keystead_usage_watchers: ['prefix'],
};

/** The tables in their order: the name of the place in the page, and which families it has. */
const tables: readonly (readonly [place: string, families: RegExp])[] = [
  ['load', /^keystead_(event_loop|heap|external_memory)/],
  ['usage', /^keystead_usage_/],
  ['backup', /^keystead_backup_/],
  ['other', /^keystead_/],
  ['server', /^etcd_(server|cluster)_/],
  ['disk', /^etcd_(disk|snap|debugging_disk|debugging_snap)/],
  ['network', /^etcd_network_/],
  ['mvcc', /^etcd_(mvcc|debugging_mvcc)_/],
  ['lease', /^etcd_(lease|debugging_lease)/],
  ['grpc', /^(etcd_grpc_proxy|grpc_)/],
  ['debugging', /^etcd_/],
  ['process', /^/],
];

interface Documented {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
  readonly help: string;
}

/** Every family that a member can expose, by name. */
export function documentedFamilies(): Documented[] {
  const eventLoop = new EventLoopDelay();
  eventLoop.stop();
  const versions = { server: '', runtime: '' };
  const registry = new Registry({ metrics: new Metrics(), versions, eventLoop, extensive: true });
  const labels = new Map(scraped.map((family) => [family.name, family.labels]));
  return registry
    .families()
    .map(({ name, type, help }) => ({
      name,
      type,
      help,
      labels: otherLabels[name] ?? labels.get(name) ?? [],
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function tableOf(families: readonly Documented[]): string {
  const rows = families.map(({ name, type, labels, help }) => {
    const shown = labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${type} | ${shown} | ${help} |`;
  });
  return ['| metric | type | labels | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

/** Returns the text of the page with new tables. */
export function renderMetricsPage(text: string): string {
  let rendered = text;
  let rest = documentedFamilies();
  for (const [place, pattern] of tables) {
    const [open, close] = [`<!-- ${place} -->`, `<!-- end of ${place} -->`];
    const start = rendered.indexOf(open);
    const end = rendered.indexOf(close);
    if (start < 0 || end < start) throw new Error(`docs/metrics.md has no ${open} or ${close}`);
    const table = tableOf(rest.filter(({ name }) => pattern.test(name)));
    rest = rest.filter(({ name }) => !pattern.test(name));
    rendered = `${rendered.slice(0, start)}${open}\n\n${table}\n\n${rendered.slice(end)}`;
  }
  return rendered;
}

export function readMetricsPage(): string {
  return readFileSync(page, 'utf8');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(page, renderMetricsPage(readMetricsPage()));
}
