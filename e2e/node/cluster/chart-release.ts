import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../../harness/command.ts';
import { repositoryRoot, requirePeer } from '../../harness/paths.ts';
import type { RealNode } from '../real-node.ts';
import { list } from './workload.ts';

/** Volumes are folders of the node. Nothing makes them when a claim needs one, so there are enough from the start. */
const VOLUMES = 16;
const HELM_TIMEOUT = '10m';

/** Helm, for releases of the chart in one namespace of a node. */
export class ChartReleases {
  readonly namespace = 'etcd';
  readonly #node: RealNode;
  readonly #values: string;

  /** @param values what all releases need on this node */
  constructor(node: RealNode, values: object) {
    this.#node = node;
    this.#values = join(node.folder, 'values.json');
    writeFileSync(this.#values, JSON.stringify(values));
  }

  /** Makes the namespace, with the restricted pod security level, and volumes. */
  async prepare(): Promise<void> {
    const volumes = Array.from({ length: VOLUMES }, (_, number) => {
      mkdirSync(this.volumePath(number), { recursive: true });
      return localVolume(`volume-${number}`, this.volumePath(number));
    });
    const namespace = {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: this.namespace, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
    };
    await this.#node.kubectl(['create', '-f', '-'], list(namespace, STORAGE_CLASS, ...volumes));
  }

  /** The folder of a volume, by its number or by the name of the claim that it is bound to. */
  volumePath(number: number): string {
    return join(this.#node.folder, 'volumes', String(number));
  }

  async volumeOfClaim(claim: string): Promise<string> {
    const name = await this.kubectl('get', 'pvc', claim, '-o', 'jsonpath={.spec.volumeName}');
    return this.volumePath(Number(name.replace('volume-', '')));
  }

  /** Makes a secret as the chart wants it from files in PEM. */
  async createTlsSecret(
    name: string,
    files: { certificate: string; key: string; ca: string },
  ): Promise<void> {
    await this.kubectl(
      ...['create', 'secret', 'generic', name],
      ...[`--from-file=tls.crt=${files.certificate}`, `--from-file=tls.key=${files.key}`],
      `--from-file=ca.crt=${files.ca}`,
    );
  }

  kubectl(...args: readonly string[]): Promise<string> {
    return this.#node.kubectl(['--namespace', this.namespace, ...args]);
  }

  /** Installs the chart or changes some values of a release, and waits until all members are ready. */
  async upgrade(release: string, ...settings: readonly string[]): Promise<void> {
    await this.#upgrade(release, settings, '--wait', '--timeout', HELM_TIMEOUT);
  }

  /** Changes values that do not change the members. */
  async upgradeWithoutWaiting(release: string, ...settings: readonly string[]): Promise<void> {
    await this.#upgrade(release, settings);
  }

  /** `helm test` */
  async test(release: string): Promise<string> {
    return this.#helm('test', release, '--timeout', HELM_TIMEOUT);
  }

  /** The address of a service of the type NodePort, for clients on the host. */
  async nodePort(service: string): Promise<string> {
    const port = await this.kubectl('get', 'service', service, '-o', 'jsonpath={.spec.ports[0].nodePort}');
    return `${this.#node.address}:${port}`;
  }

  /** Runs the job of a cron job once, and returns its output. */
  async runCronJob(cronJob: string, job: string): Promise<string> {
    await this.kubectl('create', 'job', job, `--from=cronjob/${cronJob}`);
    await this.kubectl('wait', '--for=condition=complete', `job/${job}`, '--timeout=110s');
    return this.kubectl('logs', `job/${job}`);
  }

  /** Pods, latest events and logs, for error messages. */
  async state(): Promise<string> {
    const show = async (...args: readonly string[]): Promise<string> => {
      const { stdout, stderr } = await this.#node.tryKubectl(['--namespace', this.namespace, ...args]);
      return stdout + stderr;
    };
    const members = ['logs', '--selector=app.kubernetes.io/component=member', '--prefix'];
    const parts = await Promise.all([
      show('get', 'pods,pvc,jobs', '-o', 'wide'),
      show('get', 'events', '--sort-by=.lastTimestamp'),
      show(...members, '--tail=15', '--max-log-requests=20'),
    ]);
    return parts.map((part) => part.split('\n').slice(-80).join('\n')).join('\n');
  }

  async #upgrade(release: string, settings: readonly string[], ...flags: readonly string[]): Promise<void> {
    await this.#helm(
      ...['upgrade', '--install', '--reuse-values', release, 'helm/keystead', '--values', this.#values],
      ...settings.map((setting) => `--set=${setting}`),
      ...flags,
    );
  }

  async #helm(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runCommand(
      requirePeer('helm'),
      [...args, `--kubeconfig=${this.#node.kubeconfig}`, '--namespace', this.namespace],
      { cwd: repositoryRoot, timeoutMs: 660_000 },
    );
    if (code !== 0) throw new Error(`helm ${args.join(' ')}:\n${stdout}${stderr}\n${await this.state()}`);
    return stdout;
  }
}

const STORAGE_CLASS = {
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: { name: 'local', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
  provisioner: 'kubernetes.io/no-provisioner',
  volumeBindingMode: 'WaitForFirstConsumer',
};

function localVolume(name: string, path: string): object {
  const onNode = { key: 'kubernetes.io/hostname', operator: 'In', values: ['node1'] };
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name },
    spec: {
      capacity: { storage: '20Gi' },
      accessModes: ['ReadWriteOnce'],
      persistentVolumeReclaimPolicy: 'Retain',
      storageClassName: STORAGE_CLASS.metadata.name,
      local: { path },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [onNode] }] } },
    },
  };
}
