import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node';
import { requirePeer } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { Program } from '../harness/program.ts';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';
import { RetryingKubeConfig } from './retrying-kube-config.ts';
import { RestClient } from './rest-client.ts';

export interface ControlPlaneOptions {
  /** Client URL of the store. */
  storeUrl: string;
  /** Further flags of kube-apiserver; they come last and win. */
  flags?: readonly string[];
}

/** A real kube-apiserver with a store and one administrator. Tests can start the controllers as well. */
export class ControlPlane {
  readonly kubeConfig: KubeConfig;
  readonly rest: RestClient;
  /** Milliseconds from the last start of the process until /readyz was ok. */
  readyAfterMs = 0;
  readonly #folder = tempDir('k8s');
  readonly #port: number;
  readonly #token = randomUUID();
  readonly #options: ControlPlaneOptions;
  #apiServer: Program | undefined;
  readonly #controllers: Program[] = [];

  private constructor(port: number, options: ControlPlaneOptions) {
    this.#port = port;
    this.#options = options;
    this.#writeFiles();
    this.rest = new RestClient(port, this.#token);
    this.kubeConfig = new RetryingKubeConfig();
    this.kubeConfig.loadFromString(this.#kubeConfigText());
  }

  static async start(options: ControlPlaneOptions): Promise<ControlPlane> {
    const plane = new ControlPlane(await freePort(), options);
    await plane.startApiServer();
    return plane;
  }

  get kubeConfigPath(): string {
    return this.#file('kubeconfig');
  }

  get apiServer(): Program {
    if (this.#apiServer === undefined) throw new Error('kube-apiserver is not running');
    return this.#apiServer;
  }

  async startApiServer(): Promise<void> {
    const started = performance.now();
    const program = new Program('kube-apiserver', requirePeer('kube-apiserver'), this.#apiServerFlags(), {
      cwd: this.#folder,
    });
    this.#apiServer = program;
    await this.ready();
    this.readyAfterMs = performance.now() - started;
  }

  /** Waits until the apiserver, its informers and its store answer. */
  async ready(timeoutMs = 60_000): Promise<void> {
    const program = this.apiServer;
    await eventually(
      'kube-apiserver ready',
      async () => {
        program.mustBeAlive();
        return (await this.rest.get('/readyz')).status === 200;
      },
      { timeoutMs, everyMs: 20 },
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${program.tail(40)}`, { cause: error });
    });
  }

  async stopApiServer(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#apiServer?.stop(signal, 60_000);
    this.#apiServer = undefined;
  }

  /**
   * Starts the real controller manager and scheduler.
   *
   * @param flags further flags of both
   */
  startControllers(flags: readonly string[] = []): void {
    const kubeconfig = `--kubeconfig=${this.#file('kubeconfig')}`;
    this.#controllers.push(
      new Program('kube-controller-manager', requirePeer('kube-controller-manager'), [
        kubeconfig,
        '--secure-port=0',
        `--service-account-private-key-file=${this.#file('service-account.key')}`,
        ...flags,
      ]),
      new Program('kube-scheduler', requirePeer('kube-scheduler'), [kubeconfig, '--secure-port=0', ...flags]),
    );
  }

  /** @throws Error with its output if a controller has ended */
  controllersMustBeAlive(): void {
    for (const program of this.#controllers) program.mustBeAlive();
  }

  /** The last output of all programs, for error messages. */
  tails(): string {
    return [this.apiServer, ...this.#controllers]
      .map((program) => `== ${program.title}\n${program.tail(15)}`)
      .join('\n');
  }

  async destroy(): Promise<void> {
    this.rest.close();
    await Promise.all(this.#controllers.map((program) => program.stop('SIGKILL')));
    await this.#apiServer?.stop('SIGKILL');
    removeTempDir(this.#folder);
  }

  #apiServerFlags(): string[] {
    return [
      `--etcd-servers=${this.#options.storeUrl}`,
      `--secure-port=${this.#port}`,
      '--bind-address=127.0.0.1',
      // The address that the kubernetes Service points to; it may not be a loopback one, and nothing connects to it.
      '--advertise-address=192.0.2.1',
      `--cert-dir=${this.#folder}`,
      '--service-cluster-ip-range=10.96.0.0/16',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-signing-key-file=${this.#file('service-account.key')}`,
      `--service-account-key-file=${this.#file('service-account.pub')}`,
      `--token-auth-file=${this.#file('tokens.csv')}`,
      '--authorization-mode=AlwaysAllow',
      // The tests make more requests at once than a small machine is given by default.
      '--enable-priority-and-fairness=false',
      '--max-mutating-requests-inflight=1000',
      '--max-requests-inflight=2000',
      ...(this.#options.flags ?? []),
    ];
  }

  #writeFiles(): void {
    const { privateKey, publicKey } = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      privateKeyEncoding: { type: 'sec1', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    writeFileSync(this.#file('service-account.key'), privateKey);
    writeFileSync(this.#file('service-account.pub'), publicKey);
    writeFileSync(this.#file('tokens.csv'), `${this.#token},admin,admin,system:masters\n`);
    writeFileSync(this.#file('kubeconfig'), this.#kubeConfigText());
  }

  #kubeConfigText(): string {
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {
          name: 'test',
          cluster: { server: `https://127.0.0.1:${this.#port}`, 'insecure-skip-tls-verify': true },
        },
      ],
      users: [{ name: 'admin', user: { token: this.#token } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
      'current-context': 'test',
    });
  }

  #file(name: string): string {
    return join(this.#folder, name);
  }
}
