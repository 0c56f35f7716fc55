/** The etcd version that Keystead is compatible with. Clients and tools check it. */
export const ETCD_VERSION = '3.7.1';

export const KEYSTEAD_VERSION = '0.1.0';

const USAGE = 'Usage: keystead version [--output text|json]\n';

/** The `version` subcommand. Returns the exit code. */
export function printVersion(
  args: readonly string[],
  out: (text: string) => void,
  err: (text: string) => void,
): number {
  const output = args.join(' ').replace(/^(-o|--output)(=| )/, '');
  if (args.length === 0 || output === 'text') out(versionText());
  else if (output === 'json') out(`${JSON.stringify(versions())}\n`);
  else if (output === '--help' || output === '-h') out(USAGE);
  else {
    err(`keystead version: unexpected ${args.join(' ')}\n${USAGE}`);
    return 2;
  }
  return 0;
}

function versions(): Readonly<Record<string, string>> {
  return {
    etcd: ETCD_VERSION,
    keystead: KEYSTEAD_VERSION,
    node: process.versions.node,
    platform: process.platform,
    arch: process.arch,
  };
}

/** The output of `--version`. Tools parse the first line, which is that of etcd. */
export function versionText(): string {
  const arch = process.arch === 'x64' ? 'amd64' : process.arch;
  return [
    `etcd Version: ${ETCD_VERSION}`,
    `Git SHA: keystead-${KEYSTEAD_VERSION}`,
    `Go Version: none (Node.js ${process.versions.node})`,
    `Go OS/Arch: ${process.platform}/${arch}`,
    `Keystead Version: ${KEYSTEAD_VERSION}`,
    '',
  ].join('\n');
}
