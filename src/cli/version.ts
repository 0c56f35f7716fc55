/** The etcd release whose wire, flags and files this is a drop-in for; clients and tools compare it. */
export const etcdVersion = '3.7.1';

export const keysteadVersion = '0.1.0';

/** What `--version` prints: the first line as etcd's, which tools parse. */
export function versionText(): string {
  const arch = process.arch === 'x64' ? 'amd64' : process.arch;
  return [
    `etcd Version: ${etcdVersion}`,
    `Git SHA: keystead-${keysteadVersion}`,
    `Go Version: none (Node.js ${process.versions.node})`,
    `Go OS/Arch: ${process.platform}/${arch}`,
    `Keystead Version: ${keysteadVersion}`,
    '',
  ].join('\n');
}
