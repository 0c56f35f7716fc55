import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { EventLoopDelay } from './event-loop.ts';
import { numberText } from './exposition.ts';
import { Metrics } from './metrics.ts';
import { Registry } from './registry.ts';

interface WireFact {
  readonly name: string;
  readonly type: string;
}

/** A metric in a scrape of a real etcd 3.7.1: its label names, and a histogram's bounds. */
interface ScrapeFact {
  readonly name: string;
  readonly labels: readonly string[];
  readonly bounds?: readonly string[];
}

function facts<T>(file: string): T[] {
  return JSON.parse(readFileSync(new URL(`testdata/${file}`, import.meta.url), 'utf8')) as T[];
}

function sampleRegistry(extensive = false): Registry {
  const metrics = new Metrics();
  metrics.server.id = 'abc';
  metrics.server.clusterVersion = '3.7';
  metrics.server.features.set('AllAlpha', { stage: 'ALPHA', enabled: false });
  metrics.server.applyDuration.with('v3', 'Put', 'true').observe(0.0001);
  metrics.server.rangeDuration.with('true').observe(0.1);
  metrics.server.requestDuration.with('Put', 'true').observe(100);
  metrics.server.healthChecks.add(['readyz', 'non_learner', 'success']);
  metrics.server.healthCheck.set(['readyz', 'non_learner'], 1);
  metrics.network.knownPeers.set(['abc', 'def'], 1);
  metrics.callDurations.with('m', 's', 'unary').observe(0.02);
  metrics.methods = () => [
    {
      service: 's',
      method: 'm',
      type: 'unary',
      started: 1,
      messagesReceived: 1,
      messagesSent: 1,
      handled: [1],
    },
  ];
  const eventLoop = new EventLoopDelay();
  eventLoop.stop();
  return new Registry({
    metrics,
    versions: { server: '3.7.1', runtime: 'node20' },
    eventLoop,
    extensive,
  });
}

it('every metric of etcd is exposed with its name and type', () => {
  const types = new Map(
    sampleRegistry()
      .families()
      .map((family) => [family.name, family.type]),
  );
  for (const { name, type } of facts<WireFact>('metrics.json'))
    expect([name, types.get(name)]).toEqual([name, type]);
});

it('no family is exposed twice', () => {
  const names = sampleRegistry()
    .families()
    .map((family) => family.name);
  expect(new Set(names).size).toBe(names.length);
});

it('labels and bounds are those in a scrape of etcd', () => {
  const lines = sampleRegistry().render().split('\n');
  for (const { name, labels, bounds } of facts<ScrapeFact>('scrape.json')) {
    const own = lines.filter((line) => new RegExp(`^${name}(_bucket)?[{ ]`).test(line));
    const found = new Set(own.flatMap((line) => [...line.matchAll(/(\w+)="/g)].map((match) => match[1])));
    found.delete('le');
    expect([name, [...found].sort()]).toEqual([name, labels]);
    const foundBounds = own.flatMap((line) => [...line.matchAll(/le="([^"]+)"/g)].map((match) => match[1]));
    expect([name, foundBounds]).toEqual([name, bounds ?? []]);
  }
});

it('extensive metrics add the duration of calls', () => {
  const families = sampleRegistry(true).families();
  const names = new Set(
    sampleRegistry()
      .families()
      .map(({ name }) => name),
  );
  expect(families.map(({ name }) => name).filter((name) => !names.has(name))).toEqual([
    'grpc_server_handling_seconds',
  ]);
  const lines = sampleRegistry(true).render().split('\n');
  const own = lines.filter((line) => line.startsWith('grpc_server_handling_seconds_bucket'));
  expect(own.map((line) => /le="([^"]+)"/.exec(line)?.[1]).join(' ')).toBe(
    '0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 +Inf',
  );
  expect(own[2]).toBe(
    'grpc_server_handling_seconds_bucket{grpc_method="m",grpc_service="s",grpc_type="unary",le="0.025"} 1',
  );
});

it('histograms are cumulative, with sum and count', () => {
  const lines = sampleRegistry().render().split('\n');
  const own = lines.filter((line) => line.startsWith('etcd_server_range_duration_seconds'));
  expect(own).toContain('etcd_server_range_duration_seconds_bucket{success="true",le="0.0512"} 0');
  expect(own).toContain('etcd_server_range_duration_seconds_bucket{success="true",le="0.1024"} 1');
  expect(own).toContain('etcd_server_range_duration_seconds_bucket{success="true",le="+Inf"} 1');
  expect(own.slice(-2)).toEqual([
    'etcd_server_range_duration_seconds_sum{success="true"} 0.1',
    'etcd_server_range_duration_seconds_count{success="true"} 1',
  ]);
});

it.each([
  [0, '0'],
  [1, '1'],
  [0.0512, '0.0512'],
  [6e-5, '6e-05'],
  [999999, '999999'],
  [1048576, '1.048576e+06'],
  [2147483648, '2.147483648e+09'],
  [2 ** 64, '1.8446744073709552e+19'],
  [Infinity, '+Inf'],
])('%d is printed as Go prints it', (value, text) => {
  expect(numberText(value)).toBe(text);
});
