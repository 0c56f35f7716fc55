import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { runCommand } from '../harness/command.ts';
import { peerBinary, repositoryRoot } from '../harness/paths.ts';

/** The programs that check files for an installation. */
export type DeployTool = 'helm' | 'kubernetes-validate' | 'promtool' | 'shellcheck' | 'yamllint';

/** Path of a tool: one that scripts/check-deploy.sh has made, or one in PATH. */
export function toolPath(name: DeployTool): string | undefined {
  const built = name === 'helm' || name === 'promtool' ? peerBinary(name) : undefined;
  if (built !== undefined) return built;
  const folders = [
    join(repositoryRoot, '.cache/deploy/bin'),
    ...(process.env['PATH'] ?? '').split(delimiter),
  ];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** As `missingPeers`, for the title of a suite that needs these tools. */
export function missingTools(...names: DeployTool[]): string | undefined {
  const missing = names.filter((name) => toolPath(name) === undefined);
  return missing.length === 0
    ? undefined
    : `skipped: ${missing.join(', ')} not installed (npm run check:deploy)`;
}

/** Runs a tool in the root of the repository. */
export async function runTool(
  name: DeployTool,
  ...args: readonly string[]
): Promise<{ code: number | null; output: string }> {
  const path = toolPath(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  const { code, stdout, stderr } = await runCommand(path, args, { cwd: repositoryRoot, timeoutMs: 60_000 });
  return { code, output: stdout + stderr };
}

/** A Kubernetes object, as far as the tests look into it. */
export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: Readonly<Record<string, unknown>>;
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly securityContext: unknown;
}

export interface PodSpec {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly automountServiceAccountToken: boolean;
  readonly securityContext: unknown;
}

/** @throws Error if the text is no YAML */
export function manifestsIn(text: string): Manifest[] {
  return parseAllDocuments(text)
    .map((document) => {
      if (document.errors.length > 0) throw document.errors[0] ?? new Error('invalid YAML');
      return document.toJS({ maxAliasCount: 1000 }) as Manifest | null;
    })
    .filter((manifest) => manifest !== null);
}

/** The specification of the pods that an object makes; undefined for objects without pods. */
export function podSpecOf({ kind, spec }: Manifest): PodSpec | undefined {
  const dig = (value: unknown, ...names: string[]): unknown =>
    names.reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], value);
  if (kind === 'Pod') return spec as unknown as PodSpec;
  if (kind === 'StatefulSet' || kind === 'Job') return dig(spec, 'template', 'spec') as PodSpec;
  if (kind === 'CronJob') return dig(spec, 'jobTemplate', 'spec', 'template', 'spec') as PodSpec;
  return undefined;
}

/** What the restricted profile of Kubernetes' pod security and a read-only file system ask for. */
export function securityFaults(manifest: Manifest): string[] {
  const pod = podSpecOf(manifest);
  if (pod === undefined) return [];
  const where = `${manifest.kind} ${manifest.metadata.name}`;
  const wanted = { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } };
  const faults = lacks(pod.securityContext, wanted) ? [`${where}: pod security context`] : [];
  if (pod.automountServiceAccountToken) faults.push(`${where}: service account token`);
  const containerWanted = {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  };
  for (const { name, securityContext } of [...pod.containers, ...(pod.initContainers ?? [])])
    if (lacks(securityContext, containerWanted)) faults.push(`${where}: container ${name}`);
  return faults;
}

function lacks(value: unknown, wanted: Readonly<Record<string, unknown>>): boolean {
  const fields = (value ?? {}) as Readonly<Record<string, unknown>>;
  return Object.entries(wanted).some(([name, each]) => JSON.stringify(fields[name]) !== JSON.stringify(each));
}

/** Checks that the server takes these arguments. Returns its complaint, or an empty text. */
export async function refusedArguments(args: readonly string[]): Promise<string> {
  const outcome = await loadConfig({
    args: args.map((arg) => arg.replaceAll('$(POD_NAME)', 'keystead-0')),
    environment: {},
  });
  return outcome.kind === 'ready' ? '' : `${args.join(' ')}: ${JSON.stringify(outcome)}`;
}

/** Arguments of all servers in a list of objects. */
export function serverArguments(manifests: readonly Manifest[]): (readonly string[])[] {
  return manifests
    .flatMap((manifest) => podSpecOf(manifest)?.containers ?? [])
    .filter(({ name }) => name === 'keystead')
    .map(({ args }) => args.slice(args.indexOf('--') + 1));
}

/** Paths of the files in a folder of the repository, with one of these endings. */
export function filesIn(folder: string, ...endings: readonly string[]): string[] {
  return readdirSync(join(repositoryRoot, folder))
    .filter((name) => endings.some((ending) => name.endsWith(ending)))
    .map((name) => `${folder}/${name}`)
    .toSorted();
}

export function readText(path: string): string {
  return readFileSync(join(repositoryRoot, path), 'utf8');
}

/** The version of Kubernetes whose schemas are used. */
export const KUBERNETES_VERSION = '1.35';

/** Kinds of add-ons. Their schemas are not part of Kubernetes. */
export const addOnKinds: ReadonlySet<string> = new Set([
  'Certificate',
  'Issuer',
  'PrometheusRule',
  'ServiceMonitor',
]);

/** The tag of the image of this version. */
export function imageTag(): string {
  const { version } = JSON.parse(readText('package.json')) as { version: string };
  return `3.7.1-keystead.${version}`;
}
