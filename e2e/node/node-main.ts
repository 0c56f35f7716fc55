/**
 * `npm run node` starts a real Kubernetes node with Keystead as etcd, prints its KUBECONFIG, and runs until it is
 * interrupted. Further arguments are archives of images that are loaded as well.
 */
import { once } from 'node:events';
import { join } from 'node:path';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';
import { buildImage } from './containers.ts';
import { RealNode } from './real-node.ts';

const archives = tempDir('archives');
const archive = join(archives, 'keystead.tar');
const [repository = '', tag = ''] = (
  await buildImage('--archive', archive, '--name', 'localhost/etcd')
).split('/etcd:');
const interrupted = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
const started = performance.now();
const node = await RealNode.start();
try {
  for (const each of [archive, ...process.argv.slice(2)]) await node.loadImage(each);
  removeTempDir(archives);
  await node.kubeadmInit({ repository, tag });
  await eventually('a ready node', async () => (await node.kubectl(['get', 'nodes'])).includes(' Ready '), {
    timeoutMs: 120_000,
    everyMs: 250,
  });
  console.log(`# ready after ${Math.round((performance.now() - started) / 1000)} s; Ctrl-C ends it`);
  console.log(`export KUBECONFIG=${node.kubeconfig}`);
  await interrupted;
} finally {
  await node.destroy();
}
