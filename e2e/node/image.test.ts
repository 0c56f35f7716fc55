import { chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { runCommand } from '../harness/command.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { missingPeers, repositoryRoot } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';
import { buildImage, missingForContainers, podman } from './containers.ts';

const NON_ROOT = 65_532;
const missing = missingForContainers('buildah', 'debootstrap', 'podman', 'runc') ?? missingPeers('etcdctl');

/** The settings of a pod under the restricted security standard, and a read-only root. */
const RESTRICTED = [
  ...['--read-only', '--read-only-tmpfs=false'],
  ...['--user', `${NON_ROOT}:${NON_ROOT}`, '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'],
];

interface ImageConfig {
  Env: string[];
  ExposedPorts: Record<string, object>;
  Labels: Record<string, string>;
  User?: string;
}

interface Contents {
  format: string;
  /** The packages of the bill of materials. */
  names: string[];
  /** All files below node_modules. */
  files: string[];
}

describe.skipIf(missing !== undefined)(`the image ${missing ?? ''}`, () => {
  const folder = tempDir('image');
  const data = join(folder, 'data');
  const container = `keystead-image-${process.pid}`;
  let image = '';
  let port = 0;

  beforeAll(async () => {
    image = await buildImage();
    port = await freePort();
    mkdirSync(data);
    chownSync(data, NON_ROOT, NON_ROOT);
  }, 900_000);

  afterAll(async () => {
    await podman(['rm', '--force', '--ignore', container]);
    removeTempDir(folder);
  });

  /** Runs a command of the image to its end, with nothing that a restricted pod does not have. */
  async function output(...command: string[]): Promise<string> {
    const result = await podman(['run', '--rm', '--network', 'none', ...RESTRICTED, image, ...command]);
    expect(result.stderr).toBe('');
    return result.stdout;
  }

  async function start(): Promise<Etcdctl> {
    const url = `http://127.0.0.1:${port}`;
    const peer = `http://127.0.0.1:${await freePort()}`;
    const run = await podman([
      ...['run', '--detach', '--name', container, '--network', 'host', ...RESTRICTED],
      ...['--volume', `${data}:/var/lib/etcd`, image, 'etcd', '--data-dir', '/var/lib/etcd/member-a'],
      ...['--listen-client-urls', url, '--advertise-client-urls', url, '--listen-peer-urls', peer],
      ...['--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`],
    ]);
    expect(run.code, run.stderr).toBe(0);
    const etcdctl = new Etcdctl(url);
    await eventually('a healthy member', async () => {
      const { code } = await etcdctl.run(['endpoint', 'health']);
      if (code === 0) return true;
      const { stdout } = await podman(['inspect', '--format', '{{.State.Running}}', container]);
      if (stdout.trim() !== 'true') throw new Error((await podman(['logs', container])).stderr);
      return false;
    });
    return etcdctl;
  }

  /** Stops the container with SIGTERM and returns its exit code. */
  async function stop(): Promise<string> {
    const stopped = await podman(['stop', '--time', '20', container]);
    expect(stopped.code, stopped.stderr).toBe(0);
    const { stdout } = await podman(['inspect', '--format', '{{.State.ExitCode}}', container]);
    await podman(['rm', container]);
    return stdout.trim();
  }

  it('kubeadm reads its tag as the version of etcd that Keystead is compatible with', async () => {
    expect(image).toBe(`localhost/keystead:3.7.1-keystead.${packageJson.version}`);
    expect(await output('etcd', '--version')).toMatch(/^etcd Version: 3\.7\.1\n/);
    expect(await output('keystead', '--version')).toContain(`Keystead Version: ${packageJson.version}\n`);
  });

  it.skipIf(missingForContainers('hadolint') !== undefined)('hadolint has nothing to say', async () => {
    const dockerfile = join(repositoryRoot, 'Dockerfile');
    expect(await runCommand('hadolint', [dockerfile])).toMatchObject({ code: 0, stdout: '' });
  });

  it('has ports, labels, settings of glibc, and the user root, which kubeadm needs', async () => {
    const { stdout } = await podman(['image', 'inspect', image]);
    const [inspected] = JSON.parse(stdout) as { Config: ImageConfig }[];
    const config = inspected?.Config;
    expect(Object.keys(config?.ExposedPorts ?? {}).toSorted()).toEqual(['2379/tcp', '2380/tcp', '2381/tcp']);
    expect(config?.Labels).toMatchObject({
      'org.opencontainers.image.title': 'Keystead',
      'org.opencontainers.image.version': packageJson.version,
      'org.opencontainers.image.licenses': 'Apache-2.0',
    });
    expect(config?.Labels['org.opencontainers.image.revision']).toMatch(/^[0-9a-f]{40}$|^unknown$/);
    expect(config?.User ?? '').toBe('');
    expect(config?.Env).toContain('GLIBC_TUNABLES=glibc.malloc.mxfast=0');
  });

  it('holds its bill of materials, and of its packages only what is loaded', async () => {
    const list = `
      const { readFileSync, readdirSync } = require('node:fs');
      const sbom = JSON.parse(readFileSync('/opt/keystead/sbom.cdx.json', 'utf8'));
      const files = readdirSync('/opt/keystead/node_modules', { recursive: true });
      console.log(JSON.stringify({ format: sbom.bomFormat, names: sbom.components.map((each) => each.name), files }));`;
    const { format, names, files } = JSON.parse(await output('node', '-e', list)) as Contents;
    expect(format).toBe('CycloneDX');
    expect(names).toEqual(
      expect.arrayContaining(['@node-rs/crc32', '@nxtedition/rocksdb', 'node-gyp-build']),
    );
    expect(files.filter((name) => name.endsWith('.node')).toSorted()).toEqual([
      expect.stringMatching(/^@node-rs\/crc32-linux-.*\.node$/),
      expect.stringMatching(/^@nxtedition\/rocksdb\/.*\.node$/),
    ]);
    expect(files.filter((name) => /\.(cc|h|map|zip)$/.test(name))).toEqual([]);
  });

  it('serves with a read-only root, no user root, no capabilities and no new privileges', async () => {
    const first = await start();
    expect(await first.run(['put', 'greeting', 'hello'])).toMatchObject({ code: 0, stdout: 'OK\n' });
    expect(await first.run(['get', 'greeting', '--print-value-only'])).toMatchObject({ stdout: 'hello\n' });
    expect(await stop()).toBe('0');

    const second = await start();
    expect(await second.run(['get', 'greeting', '--print-value-only'])).toMatchObject({ stdout: 'hello\n' });
    expect(await stop()).toBe('0');
  }, 180_000);
});
