import { join } from 'node:path';
import { runCommand } from '../../harness/command.ts';
import { repositoryRoot } from '../../harness/paths.ts';
import { eventually } from '../../harness/wait.ts';
import type { RealNode } from '../real-node.ts';

const SERVER =
  "require('http').createServer((q, r) => r.end('hello from ' + require('os').hostname())).listen(8080)";
const CLIENT = `(async () => {
  const address = (await require('dns').promises.lookup('web.default.svc.cluster.local')).address;
  const text = await (await fetch('http://web.default.svc.cluster.local')).text();
  console.log(address, text);
})()`;

/** Objects as JSON, which kubectl reads from its input. */
export function list(...items: readonly object[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}

/** A Deployment and a Service that answers HTTP. The image is Keystead's, because it has Node.js. */
export function webServer(image: string): string {
  const labels = { app: 'web' };
  return list(
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web' },
      spec: {
        replicas: 2,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 1,
            containers: [
              {
                name: 'web',
                image,
                command: ['node', '-e', SERVER],
                readinessProbe: { httpGet: { port: 8080, path: '/' }, periodSeconds: 1 },
              },
            ],
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { selector: labels, ports: [{ port: 80, targetPort: 8080 }] },
    },
  );
}

/** Runs a pod that finds the Service by DNS and asks it. Returns the pod's output. */
export async function askByDns(node: RealNode, image: string, name: string): Promise<string> {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      restartPolicy: 'OnFailure',
      containers: [{ name: 'client', image, command: ['node', '-e', CLIENT] }],
    },
  };
  await node.kubectl(['create', '-f', '-'], JSON.stringify(pod));
  await eventually(
    `the end of the pod ${name}`,
    async () => (await node.kubectl(['get', 'pod', name, '-o', 'jsonpath={.status.phase}'])) === 'Succeeded',
    { timeoutMs: 90_000, everyMs: 500 },
  );
  return node.kubectl(['logs', name]);
}

/** The node is ready, and all pods of the control plane and of the cluster DNS, which are one less without etcd. */
export async function clusterReady(node: RealNode, systemPods = 6): Promise<void> {
  await eventually(
    'a ready node and ready system pods',
    async () => {
      if (!(await node.kubectl(['get', 'nodes'])).includes(' Ready ')) return false;
      const pods = await node.kubectl(['get', 'pods', '-n', 'kube-system', '--no-headers']);
      const lines = pods.trim().split('\n');
      return lines.length >= systemPods && lines.every((line) => /\s1\/1\s+Running\s/.test(line));
    },
    { timeoutMs: 180_000, everyMs: 500 },
  );
}

/** Runs `npm run e2e:kubeconfig` against the cluster. Returns its output, or throws with it. */
export async function runClusterSuite(node: RealNode): Promise<string> {
  const vitest = join(repositoryRoot, 'node_modules/vitest/vitest.mjs');
  const { code, stdout, stderr } = await runCommand(
    process.execPath,
    [vitest, 'run', '--project', 'e2e', 'e2e/kubeconfig'],
    {
      cwd: repositoryRoot,
      env: { KEYSTEAD_KUBECONFIG: node.kubeconfig, KEYSTEAD_POD_IMAGE: 'localhost/pause:1' },
      timeoutMs: 600_000,
    },
  );
  if (code !== 0) throw new Error(stdout + stderr);
  return stdout;
}

export async function restartsOfEtcd(node: RealNode): Promise<number> {
  const path = 'jsonpath={.status.containerStatuses[0].restartCount}';
  return Number(await node.kubectl(['get', 'pod', '-n', 'kube-system', 'etcd-node1', '-o', path]));
}
