import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { autoCompaction } from './auto-compaction.ts';
import type { Config } from './config.ts';
import { environmentName, findFlag, flagDefinitions, listedOnlyFlags } from './flags.ts';
import { formatGoDuration, parseGoDuration, parseGoInteger } from './go-syntax.ts';
import { bootstrapFault } from './initial-cluster.ts';
import { loadConfig, type LoadOutcome } from './load.ts';
import { unsupportedFlagFault } from './unsupported-flags.ts';
import { defaultFlagValues } from './value-kinds.ts';

const folder = mkdtempSync(join(tmpdir(), 'config-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function ready(args: readonly string[], environment: Record<string, string> = {}): Promise<Config> {
  const outcome = await loadConfig({ args, environment });
  if (outcome.kind !== 'ready') throw new Error(JSON.stringify(outcome));
  return outcome.config;
}

function refusal(outcome: LoadOutcome): string {
  if (outcome.kind !== 'failed') throw new Error(JSON.stringify(outcome));
  return String(outcome.late.at(-1)?.fields?.['error']);
}

describe('flags', () => {
  it('have the names and defaults of etcd', () => {
    const facts = JSON.parse(
      readFileSync(new URL('testdata/flags.json', import.meta.url), 'utf8'),
    ) as readonly {
      flag: string;
      default: string;
    }[];
    // etcd's help shows another default than its parser uses, or none.
    const differently = new Set([
      'data-dir',
      'max-concurrent-streams',
      'v2-deprecation',
      'backend-bbolt-freelist-type',
    ]);
    for (const { flag, default: expected } of facts) {
      if (listedOnlyFlags.has(flag)) {
        expect(findFlag(flag)).toBeUndefined();
        continue;
      }
      const own = findFlag(flag);
      expect(own?.name).toBe(flag);
      if (own === undefined || expected === '' || differently.has(flag)) continue;
      if (own.kind === 'duration') {
        const late = { 'watch-progress-notify-interval': '10m' }[flag];
        expect([flag, late ?? formatGoDuration(parseGoDuration(own.default) ?? NaN)]).toEqual([
          flag,
          late ?? formatGoDuration(parseGoDuration(expected) ?? NaN),
        ]);
      } else if (flag !== 'compaction-batch-limit') expect([flag, own.default]).toEqual([flag, expected]);
    }
  });

  it('each have their own environment variable', () => {
    const names = flagDefinitions.map(({ name }) => environmentName(name));
    expect(new Set(names).size).toBe(names.length);
    expect(environmentName('auto-compaction-mode')).toBe('ETCD_AUTO_COMPACTION_MODE');
  });
});

describe('the configuration', () => {
  it('has defaults for a cluster of one member', async () => {
    const config = await ready([]);
    expect(config).toMatchObject({
      name: 'default',
      dataDir: 'default.etcd',
      electionTicks: 10,
      requestTimeoutMs: 7_000,
      compactionBatchLimit: 1_000,
      watchProgressNotifyIntervalMs: 600_000,
      autoCompaction: { mode: 'off' },
      log: { level: 'info', format: 'json', outputs: ['default'], rotation: undefined },
    });
    expect([...config.initialCluster]).toEqual([['default', ['http://localhost:2380']]]);
    expect(Object.isFrozen(config)).toBe(true);
    expect(bootstrapFault(config, undefined)).toBeUndefined();
  });

  it("accepts the flags of etcd's own tests, and the last of two values wins", async () => {
    const config = await ready([
      '--name=Test KV-0',
      '--listen-client-urls=http://localhost:20000',
      '--advertise-client-urls=http://localhost:20000',
      '--listen-peer-urls=http://localhost:20001',
      '--initial-advertise-peer-urls=http://localhost:20001',
      '--initial-cluster-token=new',
      '--data-dir=/tmp/x',
      '--snapshot-count=10000',
      '--snapshot-count=0x10',
      '--strict-reconfig-check=false',
      '--initial-cluster=Test KV-0=http://localhost:20001',
      '--initial-cluster-state=new',
    ]);
    expect(config).toMatchObject({ name: 'Test KV-0', snapshotCount: 16, strictReconfigCheck: false });
    expect(config.listenClientUrls).toMatchObject([{ host: 'localhost', port: '20000', secure: false }]);
    expect(bootstrapFault(config, undefined)).toBeUndefined();
  });

  it('accepts a discovery service instead of the initial cluster', async () => {
    const { initialCluster, discovery, discoverySrv } = await ready([
      '--discovery-endpoints=http://b:1,http://a:1',
      '--discovery-token=t',
      '--discovery-user=root:a:b',
    ]);
    expect(initialCluster.size).toBe(0);
    expect(discoverySrv).toBeUndefined();
    expect(discovery).toMatchObject({
      token: 't',
      endpoints: ['http://a:1', 'http://b:1'],
      user: 'root',
      password: 'a:b',
      dialTimeoutMs: 2_000,
      requestTimeoutMs: 5_000,
      insecureTransport: true,
    });
  });

  it('accepts a domain with SRV records instead of the initial cluster', async () => {
    const { initialCluster, discovery, discoverySrv } = await ready([
      ...['--discovery-srv=example.com', '--discovery-srv-name=blue'],
    ]);
    expect(initialCluster.size).toBe(0);
    expect(discovery).toBeUndefined();
    expect(discoverySrv).toEqual({ domain: 'example.com', serviceName: 'blue' });
  });

  it('names the default cluster after the member', async () => {
    expect([...(await ready(['--name', 'a'])).initialCluster.keys()]).toEqual(['a']);
  });

  it('reads the environment and warns about unknown variables', async () => {
    const outcome = await loadConfig({
      args: [],
      environment: { ETCD_NAME: 'e', ETCD_NAMES: 'x', PATH: '/' },
    });
    expect(outcome).toMatchObject({ kind: 'ready', config: { name: 'e' } });
    if (outcome.kind !== 'ready') return;
    expect(outcome.early.map(({ message }) => message)).toEqual([
      'recognized and used environment variable',
      'unrecognized environment variable',
    ]);
  });

  it('ignores flags and environment when there is a configuration file', async () => {
    const path = join(folder, 'a.yaml');
    writeFileSync(
      path,
      'name: f\ngrpc-keepalive-timeout: 3000000000\nlog-outputs: [stdout]\nFeature-Gates: LeaseCheckpoint=true,LeaseCheckpointPersist=true\nlisten-metrics-urls: http://127.0.0.1:1,http://127.0.0.1:2\nhost-whitelist: b,a\n',
    );
    const config = await ready(['--name', 'flag', '--config-file', path], { ETCD_MAX_TXN_OPS: '5' });
    expect(config).toMatchObject({
      name: 'f',
      grpcKeepaliveTimeoutMs: 3_000,
      maxTxnOps: 128,
      hostWhitelist: ['a', 'b'],
    });
    expect(config.log.outputs).toEqual(['stdout']);
    expect(config.featureGates.get('LeaseCheckpoint')).toBe(true);
    expect(config.listenMetricsUrls).toHaveLength(2);
  });

  it('accepts unix sockets', async () => {
    const config = await ready([
      '--listen-client-urls=unix://localhost:20000',
      '--advertise-client-urls=unix://localhost:20000',
    ]);
    expect(config.listenClientUrls).toMatchObject([{ socketPath: 'localhost:20000' }]);
  });
});

describe('--socket-reuse-port', () => {
  const flags = { ...defaultFlagValues(), 'socket-reuse-port': true };

  it.each(['20.20.2', '22.11.0', '23.0.0'])('is refused with Node.js %s', (version) => {
    const text = `--socket-reuse-port needs Node.js 22.12 or later, and this is ${version}`;
    expect(unsupportedFlagFault(flags, version)).toBe(text);
    expect(unsupportedFlagFault(defaultFlagValues(), version)).toBeUndefined();
  });

  it.each(['22.12.0', '23.1.0', '24.0.0'])('is accepted with Node.js %s', (version) => {
    expect(unsupportedFlagFault(flags, version)).toBeUndefined();
  });
});

it.each(['0', '100'])('--keystead-auto-disarm-percent=%s is refused', async (percent) => {
  const outcome = await loadConfig({ args: [`--keystead-auto-disarm-percent=${percent}`], environment: {} });
  expect(refusal(outcome)).toBe(`--keystead-auto-disarm-percent is ${percent}; it must be 1 to 99`);
});

it('flags that apply only to bbolt are accepted with a warning', async () => {
  const outcome = await loadConfig({ args: ['--backend-batch-limit=5'], environment: {} });
  if (outcome.kind !== 'ready') throw new Error(outcome.kind);
  const warnings = outcome.late.filter(({ level }) => level === 'warn');
  expect(warnings.at(-1)).toMatchObject({ fields: { flag: '--backend-batch-limit' } });
});

it('help lists every flag', async () => {
  const outcome = await loadConfig({ args: ['--help'], environment: {} });
  if (outcome.kind !== 'exit') throw new Error(outcome.kind);
  for (const { name } of flagDefinitions) expect(outcome.stdout).toContain(`--${name} `);
});

it.each([
  ['periodic', '5', { mode: 'periodic', retentionMs: 18_000_000 }],
  ['periodic', '5m', { mode: 'periodic', retentionMs: 300_000 }],
  ['periodic', '0', { mode: 'off' }],
  ['revision', '1000', { mode: 'revision', retentionRevisions: 1000 }],
] as const)('auto-compaction %s %s', (mode, retention, expected) => {
  expect(autoCompaction(mode, retention)).toEqual(expected);
});

it.each([
  [0, '0s'],
  [100, '100ms'],
  [1_000, '1s'],
  [1_500, '1.5s'],
  [60_000, '1m0s'],
  [7_200_000, '2h0m0s'],
  [0.25, '250µs'],
])('%d ms is %s', (ms, text) => {
  expect(formatGoDuration(ms)).toBe(text);
  expect(parseGoDuration(text)).toBe(ms);
});

it.each([
  ['0x1F', 31n],
  ['0b11', 3n],
  ['017', 15n],
  ['1_000', 1000n],
  ['', 'syntax'],
  ['08', 'syntax'],
  ['18446744073709551616', 'range'],
])('%s as a Go integer', (text, expected) => {
  expect(parseGoInteger(text, { bits: 64, signed: false })).toBe(expected);
});

it.each([
  ['http://10.1.2.3:1', '10.1.2.3'],
  ['http://127.0.0.1:1,http://[fd00::7]:1', 'fd00::7'],
  ['http://127.0.0.1:1', undefined],
  ['http://member.test:1', undefined],
])('the gate SetMemberLocalAddr: advertise URLs %s give the address %s', async (urls, address) => {
  const args = [`--initial-advertise-peer-urls=${urls}`];
  expect((await ready(args)).localAddress).toBeUndefined();
  expect((await ready([...args, '--feature-gates=SetMemberLocalAddr=true'])).localAddress).toBe(address);
});
