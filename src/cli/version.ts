/** The etcd version that Keystead is compatible with. Clients and tools check it. */
export const ETCD_VERSION = '3.7.1';

export const KEYSTEAD_VERSION = '0.1.0';

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
