import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import {
  filesIn,
  imageTag,
  KUBERNETES_VERSION,
  manifestsIn,
  missingTools,
  readText,
  refusedArguments,
  runTool,
  securityFaults,
  serverArguments,
} from './tools.ts';

/** The manifests of a cluster of its own. Those of kubeadm and its static pod run as root on the control plane. */
const manifestFiles = ['k8s/backup.yaml', 'k8s/cluster.yaml', 'k8s/single.yaml'];
const kubeadmFiles = ['k8s/kubeadm-stacked.yaml', 'k8s/static-pod.yaml'];
const kindFiles = filesIn('kind', '.yaml');

interface ComposeService {
  readonly image: string;
  readonly user: string;
  readonly read_only: boolean;
  readonly cap_drop: readonly string[];
  readonly profiles: readonly string[];
  readonly command?: readonly string[];
  readonly ports?: readonly string[];
}

const compose = parse(readText('compose.yaml'), { merge: true }) as {
  services: Readonly<Record<string, ComposeService>>;
};

describe('the manifests in k8s', () => {
  it.each(manifestFiles)('%s is restricted, and the server takes its arguments', async (file) => {
    const text = readText(file);
    const manifests = manifestsIn(text);
    expect(manifests.flatMap(securityFaults)).toEqual([]);
    expect((await Promise.all(serverArguments(manifests).map(refusedArguments))).filter(Boolean)).toEqual([]);
  });

  it.each([...manifestFiles, ...kubeadmFiles, ...kindFiles, 'compose.yaml'])(
    '%s has the image of this version',
    (file) => {
      const tags = [...readText(file).matchAll(/3\.7\.1-keystead\.[^\s}'"]+/g)].map(([tag]) => tag);
      expect(tags.filter((tag) => tag !== imageTag())).toEqual([]);
    },
  );

  const missing = missingTools('kubernetes-validate');
  it.skipIf(missing !== undefined)(`match the schemas of Kubernetes ${missing ?? ''}`, async () => {
    const result = await runTool(
      'kubernetes-validate',
      ...['-k', KUBERNETES_VERSION, '--strict', '--quiet', ...manifestFiles, 'k8s/static-pod.yaml'],
    );
    expect(result).toEqual({ code: 0, output: '' });
  });
});

describe('the configurations of kind', () => {
  it.each(kindFiles)('%s makes nodes with Keystead as etcd', (file) => {
    const cluster = parse(readText(file)) as {
      kind: string;
      nodes: { role: string }[];
      kubeadmConfigPatches: string[];
    };
    expect(cluster.kind).toBe('Cluster');
    expect(cluster.nodes.filter(({ role }) => role === 'control-plane').length % 2).toBe(1);
    const patches = cluster.kubeadmConfigPatches.map((patch) => parse(patch) as { etcd?: object });
    expect(patches.filter(({ etcd }) => etcd !== undefined)).toHaveLength(1);
  });
});

describe('compose.yaml', () => {
  const services = Object.entries(compose.services);

  it('runs members not as root, read-only, and without capabilities', () => {
    const members = services.filter(([, { command }]) => command?.[0] === '/usr/local/bin/etcd');
    expect(members.map(([name, { profiles }]) => [name, profiles])).toEqual([
      ['keystead', ['single']],
      ['keystead-0', ['cluster']],
      ['keystead-1', ['cluster']],
      ['keystead-2', ['cluster']],
    ]);
    for (const [, member] of members)
      expect(member).toMatchObject({ user: '65532:65532', read_only: true, cap_drop: ['ALL'] });
  });

  it('publishes ports on this machine only', () => {
    const ports = services.flatMap(([, service]) => service.ports ?? []);
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
  });

  it('has arguments that the server takes', async () => {
    const commands = services
      .map(([, { command = [] }]) => command)
      .filter(([program]) => program === '/usr/local/bin/etcd');
    const refused = await Promise.all(commands.map(([, ...args]) => refusedArguments(args)));
    expect(refused.filter(Boolean)).toEqual([]);
  });
});

describe('style', () => {
  const missingYamllint = missingTools('yamllint');
  it.skipIf(missingYamllint !== undefined)(`of YAML files ${missingYamllint ?? ''}`, async () => {
    const result = await runTool(
      'yamllint',
      ...['--strict', '-c', '.yamllint.yaml', 'compose.yaml', 'compose', 'helm', 'k8s', 'kind', 'monitoring'],
    );
    expect(result).toEqual({ code: 0, output: '' });
  });

  const missingShellcheck = missingTools('shellcheck');
  it.skipIf(missingShellcheck !== undefined)(`of shell scripts ${missingShellcheck ?? ''}`, async () => {
    expect(await runTool('shellcheck', ...filesIn('scripts', '.sh'))).toEqual({ code: 0, output: '' });
  });
});
