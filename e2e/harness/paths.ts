import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

export const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url));

const peersFolder = join(repositoryRoot, '.cache/peers/bin');

/** The real programs that scripts/build-peers.sh builds. */
export type PeerName =
  | 'etcd'
  | 'etcdctl'
  | 'etcdutl'
  | 'benchmark'
  | 'load'
  | 'h2spec'
  | 'helm'
  | 'versitygw'
  | 'promtool'
  | 'prometheus'
  | 'common.test'
  | 'kube-apiserver'
  | 'kube-controller-manager'
  | 'kube-scheduler'
  | 'kubelet'
  | 'kubeadm'
  | 'kubectl'
  | 'kube-proxy'
  | 'coredns';

/** Path of a built peer, or undefined where it is not built. */
export function peerBinary(name: PeerName): string | undefined {
  const path = join(peersFolder, name);
  return existsSync(path) ? path : undefined;
}

/** Path of a peer that the caller has checked for with {@link missingPeers}. */
export function requirePeer(name: PeerName): string {
  const path = peerBinary(name);
  if (path === undefined) throw new Error(`${name} is not built: run scripts/build-peers.sh`);
  return path;
}

/**
 * Returns which of these programs are missing, or undefined. Suites put it into their title, so that a skipped run says
 * what is missing.
 */
export function missingPeers(...names: PeerName[]): string | undefined {
  const missing = names.filter((name) => peerBinary(name) === undefined);
  return missing.length === 0
    ? undefined
    : `skipped: ${missing.join(', ')} not built (scripts/build-peers.sh needs Go)`;
}

/** The bundled server that `npm run build` writes. */
export function keysteadBundle(): string {
  const path = join(repositoryRoot, 'dist/keystead.js');
  if (!existsSync(path)) throw new Error('dist/keystead.js is missing: run npm run build');
  return path;
}
