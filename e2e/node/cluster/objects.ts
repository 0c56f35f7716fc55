import { expect } from 'vitest';
import type { RealNode } from '../real-node.ts';

/** Every object that etcd has, by a request for each kind; events and leases change by themselves. */
export async function allObjects(node: RealNode): Promise<Map<string, string>> {
  const kinds = (await node.kubectl(['api-resources', '--verbs=list', '-o', 'name']))
    .trim()
    .split('\n')
    .filter((kind) => !/^(events|leases|componentstatuses|nodes$|ipaddresses)/.test(kind));
  const output = await node.kubectl(['get', kinds.join(','), '-A', '-o', 'json']);
  const { items } = JSON.parse(output) as { items: KubernetesObject[] };
  expect(items.length).toBeGreaterThan(100);
  // The control plane's pods mirror its manifests, which a swap changes, and the probe writes to its own object.
  const compared = items.filter(
    ({ kind, metadata: { name } }) => !(kind === 'Pod' && name.endsWith('-node1')) && name !== 'probe',
  );
  return new Map(
    compared.map(({ kind, metadata, spec, data, rules }) => [
      `${kind} ${metadata.namespace ?? ''}/${metadata.name} ${metadata.uid}`,
      JSON.stringify({ spec, data, rules, labels: metadata.labels }),
    ]),
  );
}

interface KubernetesObject {
  kind: string;
  metadata: { name: string; namespace?: string; uid: string; labels?: object };
  spec?: object;
  data?: object;
  rules?: object;
}
