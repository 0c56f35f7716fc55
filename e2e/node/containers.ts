import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand, type CommandResult } from '../harness/command.ts';
import { repositoryRoot } from '../harness/paths.ts';

const CAP_SYS_RESOURCE = 24n;

/** The container runtime that works on this machine: runc, or runc without what needs CAP_SYS_RESOURCE. */
export function ociRuntime(): string {
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const allowed = (BigInt(`0x${effective}`) >> CAP_SYS_RESOURCE) & 1n;
  return allowed === 1n ? 'runc' : fileURLToPath(new URL('oci-runtime.mjs', import.meta.url));
}

/** Why this machine cannot run these programs as root on Linux, or undefined if it can. Suites put it into their title. */
export function missingForContainers(...programs: readonly string[]): string | undefined {
  if (process.platform !== 'linux') return 'skipped: containers need Linux';
  if (process.getuid?.() !== 0) return 'skipped: images without a registry need root';
  const folders = (process.env['PATH'] ?? '').split(':');
  const missing = programs.filter((name) => !folders.some((folder) => existsSync(join(folder, name))));
  return missing.length === 0 ? undefined : `skipped: ${missing.join(', ')} not installed`;
}

/** The store of the images that `scripts/build-image.sh --stand-in` makes. */
const storage = { CONTAINERS_STORAGE_CONF: join(repositoryRoot, '.cache/image/storage.conf') };

/** An image is built within this many milliseconds, on a busy machine and without cached layers. */
const BUILD_LIMIT_MS = 840_000;

/** Builds the image with stand-in bases and returns its name. The layers are cached. */
export async function buildImage(...args: readonly string[]): Promise<string> {
  const script = join(repositoryRoot, 'scripts/build-image.sh');
  const result = await runCommand(script, ['--stand-in', ...args], { timeoutMs: BUILD_LIMIT_MS });
  if (result.code !== 0)
    throw new Error(`${script} failed with ${result.code}: ${result.stderr.slice(-4096)}`);
  return result.stdout.trim();
}

/** Runs podman on the images of {@link buildImage}. */
export function podman(args: readonly string[], timeoutMs = 60_000): Promise<CommandResult> {
  const global = ['--cgroup-manager', 'cgroupfs', '--runtime', ociRuntime()];
  return runCommand('podman', [...global, ...args], { env: storage, timeoutMs });
}
