import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { tempDir } from '../harness/temp-dir.ts';
import {
  addOnKinds,
  filesIn,
  imageTag,
  KUBERNETES_VERSION,
  type Manifest,
  manifestsIn,
  missingTools,
  podSpecOf,
  readText,
  refusedArguments,
  runTool,
  securityFaults,
  serverArguments,
} from './tools.ts';

const CHART = 'helm/keystead';
const valuesFiles = filesIn(`${CHART}/ci`, '-values.yaml');
const missingHelm = missingTools('helm');
const missingSchemas = missingTools('helm', 'kubernetes-validate');

async function render(...args: readonly string[]): Promise<string> {
  const { code, output } = await runTool('helm', 'template', 'keystead', CHART, '--namespace=etcd', ...args);
  if (code !== 0) throw new Error(output);
  return output;
}

function statefulSet(manifests: readonly Manifest[]): Manifest {
  const found = manifests.find(({ kind }) => kind === 'StatefulSet');
  if (found === undefined) throw new Error('no StatefulSet');
  return found;
}

it('the chart has the version of the project', () => {
  const chart = parse(readText(`${CHART}/Chart.yaml`)) as { version: string; appVersion: string };
  expect(`3.7.1-keystead.${chart.version}`).toBe(imageTag());
  expect(chart.appVersion).toBe(imageTag());
});

describe.skipIf(missingHelm !== undefined)(`the Helm chart ${missingHelm ?? ''}`, () => {
  it.each(valuesFiles)('is right with %s', async (file) => {
    const lint = await runTool('helm', 'lint', '--strict', CHART, '--values', file);
    expect(lint).toMatchObject({ code: 0 });
    const manifests = manifestsIn(await render('--values', file));
    expect(manifests.flatMap(securityFaults)).toEqual([]);
    const servers = serverArguments(manifests);
    expect(servers).toHaveLength(1);
    expect(await Promise.all(servers.map(refusedArguments))).toEqual(['']);
  });

  it('has three members by default that start together, spread, and keep their volumes', async () => {
    const manifests = manifestsIn(await render());
    expect(manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`).toSorted()).toEqual([
      'Job keystead-scale-down',
      'Pod keystead-test',
      'PodDisruptionBudget keystead',
      'Service keystead',
      'Service keystead-peers',
      'ServiceAccount keystead',
      'StatefulSet keystead',
    ]);
    const members = statefulSet(manifests);
    expect(members.spec).toMatchObject({
      replicas: 3,
      podManagementPolicy: 'Parallel',
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
    });
    const pod = podSpecOf(members);
    expect(pod?.containers[0]?.image).toBe(`localhost/keystead:${imageTag()}`);
    expect(pod).toMatchObject({
      affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{}] } },
      topologySpreadConstraints: [{ topologyKey: 'topology.kubernetes.io/zone' }],
    });
    const [, peers] = manifests.filter(({ kind }) => kind === 'Service');
    expect(peers?.spec).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true });
  });

  it('joins new members to a running cluster instead of listing them in a new one', async () => {
    const manifests = manifestsIn(await render('--set=replicas=5'));
    const initial = serverArguments(manifests)[0]?.find((arg) => arg.startsWith('--initial-cluster='));
    expect(initial?.split(',')).toHaveLength(3);
  });

  const wrong: readonly (readonly [title: string, settings: readonly string[], message: string])[] = [
    [
      'a quota that is too large for the volume',
      ['quotaBackendBytes=8589934592'],
      'persistence.size is 8Gi (8589934592 bytes), but quotaBackendBytes=8589934592 needs 18253611008 bytes',
    ],
    [
      'a quota above the volume in decimal units',
      ['persistence.size=5G'],
      'persistence.size is 5G (5000000000 bytes), but quotaBackendBytes=2147483648 needs 5368709120 bytes',
    ],
    ['an even number of members', ['replicas=4'], 'replicas is 4: use an odd number'],
    [
      'fewer members than a new cluster starts with',
      ['replicas=1'],
      'initialReplicas (3) is larger than replicas (1)',
    ],
    ['an unknown value', ['replica=3'], "additional properties 'replica' not allowed"],
    ['an unknown value inside', ['tls.client.secret=x'], "additional properties 'secret' not allowed"],
    ['a size that is none', ['persistence.size=8Q'], "'/persistence/size'"],
    [
      'TLS without a certificate',
      ['tls.client.enabled=true'],
      'tls.client.enabled needs tls.client.secretName',
    ],
    ['TLS of the members without a certificate', ['tls.peer.enabled=true'], 'tls.peer.enabled needs'],
    ['certificates that nothing uses', ['tls.certManager.enabled=true'], 'but both are false'],
    ['no members', ['replicas=0'], "'/replicas'"],
    ['a flag without dashes', ['extraArgs={snapshot-count=5}'], "'/extraArgs/0'"],
    ['a restore from a file', ['restore.url=/tmp/x.db'], "'/restore/url'"],
  ];
  it.each(wrong)('refuses %s', async (_, settings, message) => {
    await expect(render(...settings.map((setting) => `--set=${setting}`))).rejects.toThrow(message);
  });

  it('accepts an even number of members, and any quota without a volume, when asked to', async () => {
    await render('--set=replicas=4,allowEvenReplicas=true');
    await render('--set=persistence.enabled=false,quotaBackendBytes=8589934592');
  });
});

describe.skipIf(missingSchemas !== undefined)(`the schemas of Kubernetes ${missingSchemas ?? ''}`, () => {
  it.each(valuesFiles)(`accept what the chart renders with %s`, async (file) => {
    const path = join(tempDir('chart'), 'rendered.yaml');
    const rendered = await render('--values', file);
    writeFileSync(path, rendered);
    const { code, output } = await runTool(
      'kubernetes-validate',
      ...['-k', KUBERNETES_VERSION, '--strict', path],
    );
    expect({ code, output }).toMatchObject({ code: 0 });
    const unknown = [...output.matchAll(/find schema for kind (\w+)/g)].map(([, kind = '']) => kind);
    expect(unknown.filter((kind) => !addOnKinds.has(kind))).toEqual([]);
    expect(output.match(/passed for resource/g)).toHaveLength(manifestsIn(rendered).length - unknown.length);
  });
});

const missingPromtool = missingTools('helm', 'promtool');
describe.skipIf(missingPromtool !== undefined)(`the rendered alerts ${missingPromtool ?? ''}`, () => {
  it('are valid and select the job of the release', async () => {
    const manifests = manifestsIn(await render('--set=metrics.prometheusRule.enabled=true'));
    const rules = manifests.find(({ kind }) => kind === 'PrometheusRule');
    const text = JSON.stringify(rules?.spec);
    expect(text).toContain('job=\\"keystead-peers\\"');
    expect(text).not.toContain('job=\\"keystead\\"');
    const path = join(tempDir('chart'), 'rules.json');
    writeFileSync(path, text);
    expect(await runTool('promtool', 'check', 'rules', path)).toMatchObject({ code: 0 });
  });
});
