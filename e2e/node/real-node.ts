import { randomInt } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runCommand, type CommandResult } from '../harness/command.ts';
import { requirePeer, type PeerName } from '../harness/paths.ts';
import { Program } from '../harness/program.ts';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';
import { makeCgroup, removeCgroup } from './cgroups.ts';
import { ociRuntime } from './containers.ts';
import {
  containerdConfig,
  containerdSocket,
  COREDNS_VERSION,
  type EtcdImage,
  type ExternalEtcd,
  kubeadmConfig,
  kubeletLoop,
  KUBERNETES_VERSION,
  NETWORK_CONFIG,
  type NodePlace,
  setupScript,
} from './node-config.ts';
import { writeScratchImage } from './scratch-image.ts';

/** The programs of {@link RealNode}; scripts/build-peers.sh builds them with the groups kubernetes and node. */
export const NODE_PEERS: readonly PeerName[] = [
  ...(['kube-apiserver', 'kube-controller-manager', 'kube-scheduler'] as const),
  ...(['kubelet', 'kubeadm', 'kubectl', 'kube-proxy', 'coredns'] as const),
];

/** What else it needs, as Debian's packages containerd, runc, containernetworking-plugins, iptables, iproute2, gcc. */
export const NODE_PROGRAMS = [
  ...['containerd', 'ctr', 'runc', 'iptables', 'conntrack', 'ip', 'nsenter', 'unshare', 'cc'],
];

/** The kubelet sets these for the whole machine; they are restored at the end. */
const KERNEL_SETTINGS = ['vm/overcommit_memory', 'vm/panic_on_oom', 'kernel/panic', 'kernel/panic_on_oops'];

/**
 * A real Kubernetes node with kubelet, containerd and a control plane by kubeadm. It runs in mount, network, process and
 * host name namespaces of its own, so it changes nothing of the host, and nothing remains when it is destroyed.
 */
export class RealNode {
  readonly folder = tempDir('node');
  /** A kubeconfig of the administrator, usable from the host. */
  readonly kubeconfig = join(this.folder, 'admin.conf');
  readonly address: string;
  readonly #place: NodePlace;
  readonly #settings = new Map<string, string>();
  readonly #programs: Program[] = [];
  #holder: Program | undefined;
  #init = 0;

  private constructor() {
    const subnet = randomInt(1, 255);
    this.address = `10.77.${subnet}.1`;
    this.#place = {
      folder: this.folder,
      address: this.address,
      cgroup: `keystead-node-${process.pid}-${subnet}`,
    };
  }

  /** Starts containerd and the kubelet, and loads the images of Kubernetes. There is no cluster yet. */
  static async start(): Promise<RealNode> {
    const node = new RealNode();
    try {
      await node.#start();
      return node;
    } catch (error) {
      await node.destroy();
      throw error;
    }
  }

  async #start(): Promise<void> {
    for (const name of KERNEL_SETTINGS) this.#settings.set(name, readFileSync(`/proc/sys/${name}`, 'utf8'));
    makeCgroup(this.#place.cgroup);
    this.#writeFiles();
    const unshare = ['--mount', '--net', '--pid', '--uts', '--ipc', '--propagation', 'private'];
    const holder = new Program('namespaces', 'unshare', [
      ...[...unshare, '--fork', '--kill-child', '--mount-proc'],
      ...['sh', join(this.folder, 'setup.sh')],
    ]);
    this.#holder = holder;
    await holder.sees('prepared');
    this.#init = Number(
      readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8').trim().split(' ')[0],
    );
    await this.#connect();
    this.#run('containerd', 'containerd', '--config', join(this.folder, 'containerd.toml'));
    await eventually('containerd', async () => (await this.#ctr('version')).code === 0, {
      timeoutMs: 60_000,
    });
    await this.#loadKubernetes();
    this.#run('kubelet', 'bash', join(this.folder, 'kubelet.sh'));
  }

  #writeFiles(): void {
    mkdirSync(join(this.folder, 'cni'));
    const files: Record<string, string> = {
      'setup.sh': setupScript(this.#place),
      'kubelet.sh': kubeletLoop(requirePeer('kubelet')),
      'resolv.conf': `nameserver ${this.hostAddress}\n`,
      'containerd.toml': containerdConfig(this.#place, ociRuntime()),
      'cni/10-pods.conflist': JSON.stringify(NETWORK_CONFIG),
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.folder, name), text);
  }

  /** A link between the host and the node. It ends with the network namespace. */
  async #connect(): Promise<void> {
    const link = `ks${this.#init}`;
    await must(
      runCommand('ip', [...`link add ${link} type veth peer name eth0 netns ${this.#init}`.split(' ')]),
    );
    await must(runCommand('ip', ['address', 'add', `${this.hostAddress}/24`, 'dev', link]));
    await must(runCommand('ip', ['link', 'set', link, 'up']));
    await this.ok('ip', 'address', 'add', `${this.address}/24`, 'dev', 'eth0');
    await this.ok('ip', 'link', 'set', 'eth0', 'up');
    await this.ok('ip', 'route', 'add', 'default', 'via', this.hostAddress);
  }

  async #loadKubernetes(): Promise<void> {
    for (const name of ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler'] as const)
      await this.loadPrograms(`localhost/${name}:${KUBERNETES_VERSION}`, [requirePeer(name)]);
    const coredns = requirePeer('coredns');
    await this.loadPrograms(`localhost/coredns:${COREDNS_VERSION}`, [coredns], ['/usr/local/bin/coredns']);
    const pause = join(this.folder, 'pause');
    const source = join(import.meta.dirname, 'pause.c');
    await must(runCommand('cc', ['-static', '-O2', '-o', pause, source]));
    await this.loadPrograms('localhost/pause:1', [pause], ['/usr/local/bin/pause']);
  }

  /** Makes an image from programs that need no library, and loads it. */
  async loadPrograms(
    name: string,
    programs: readonly string[],
    entrypoint?: readonly string[],
  ): Promise<void> {
    const folder = tempDir('scratch-image');
    try {
      const image = entrypoint === undefined ? { name, programs } : { name, programs, entrypoint };
      await this.loadImage(await writeScratchImage(image, folder));
    } finally {
      removeTempDir(folder);
    }
  }

  /** Loads an archive of `docker save`, `podman save` or `scripts/build-image.sh --archive`. */
  async loadImage(archive: string): Promise<void> {
    await must(this.#ctr('images', 'import', archive));
  }

  /** Runs `kubeadm init` with this image as etcd or with an etcd that runs already, and the proxy of services. */
  async kubeadmInit(etcd: EtcdImage | ExternalEtcd): Promise<void> {
    const config = join(this.folder, 'kubeadm.yaml');
    writeFileSync(config, kubeadmConfig(this.#place, etcd));
    const init = [
      'init',
      '--config',
      config,
      '--ignore-preflight-errors=all',
      '--skip-phases=addon/kube-proxy',
    ];
    await this.kubeadm(init, 400_000);
    copyFileSync(this.path('/etc/kubernetes/admin.conf'), this.kubeconfig);
    this.#run(
      'kube-proxy',
      requirePeer('kube-proxy'),
      ...['--kubeconfig=/etc/kubernetes/admin.conf', '--hostname-override=node1', '--proxy-mode=iptables'],
      ...['--conntrack-max-per-core=0', '--conntrack-min=0', '--oom-score-adj=0'],
    );
  }

  async kubeadm(args: readonly string[], timeoutMs = 120_000): Promise<string> {
    const command = this.#enter(requirePeer('kubeadm'), ...args);
    return must(runCommand(command[0], command.slice(1), { timeoutMs })).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.tails()}`);
    });
  }

  /** Runs kubectl on the host; returns its output, or throws with its errors. */
  async kubectl(args: readonly string[], input?: string): Promise<string> {
    return must(this.tryKubectl(args, input));
  }

  tryKubectl(args: readonly string[], input?: string): Promise<CommandResult> {
    const options = { env: { KUBECONFIG: this.kubeconfig }, timeoutMs: 120_000 };
    return runCommand(requirePeer('kubectl'), args, input === undefined ? options : { ...options, input });
  }

  /** Runs a command in the namespaces of the node; returns its output, or throws with its errors. */
  async ok(...args: readonly string[]): Promise<string> {
    const command = this.#enter(...args);
    return must(runCommand(command[0], command.slice(1), { timeoutMs: 300_000 }));
  }

  /** Where the node and its pods find servers of the host. */
  get hostAddress(): string {
    return this.address.replace(/1$/, '2');
  }

  /** Where the host finds a file that the node has written below /etc, /var or /opt. */
  path(path: string): string {
    return join(this.folder, 'upper', path);
  }

  /** The environment of scripts that use `ctr` inside the node. */
  get containerdEnvironment(): string[] {
    return [`CONTAINERD_ADDRESS=${containerdSocket(this.#place)}`, `RUNC=${ociRuntime()}`];
  }

  /** The last output of all programs, for error messages. */
  tails(): string {
    return this.#programs.map((program) => `== ${program.title}\n${program.tail(15)}`).join('\n');
  }

  async destroy(): Promise<void> {
    // The first process of a process namespace takes all others with it.
    await this.#holder?.stop('SIGKILL');
    await Promise.all(this.#programs.map((program) => program.stop('SIGKILL')));
    await eventually('the end of the namespaces', () => !existsSync(`/proc/${this.#init}/ns/pid`));
    for (const [name, value] of this.#settings) writeFileSync(`/proc/sys/${name}`, value);
    await eventually('an empty cgroup', () => {
      removeCgroup(this.#place.cgroup);
      return true;
    });
    removeTempDir(this.folder);
  }

  #ctr(...args: readonly string[]): Promise<CommandResult> {
    const global = ['--address', containerdSocket(this.#place), '--namespace', 'k8s.io'];
    return runCommand('ctr', [...global, ...args], { timeoutMs: 300_000 });
  }

  #run(title: string, ...command: readonly string[]): void {
    const [program, ...args] = this.#enter(...command);
    this.#programs.push(new Program(`${title} (${basename(command[0] ?? '')})`, program, args));
  }

  #enter(...command: readonly string[]): [string, ...string[]] {
    const namespaces = ['--mount', '--net', '--pid', '--uts', '--ipc'];
    return ['nsenter', '--target', String(this.#init), ...namespaces, '--', ...command];
  }
}

async function must(result: Promise<CommandResult>): Promise<string> {
  const { code, stdout, stderr } = await result;
  if (code !== 0) throw new Error(`exit code ${String(code)}:\n${stdout}${stderr}`);
  return stdout;
}
