import type { V1Deployment } from '@kubernetes/client-node';

/** A Deployment of pods that are placed and never run: their image does not exist. */
export function deployment(name: string, replicas: number, version = 'v1'): V1Deployment {
  const labels = { app: name };
  return {
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          containers: [
            { name: 'main', image: `example.test/app:${version}`, resources: { requests: { cpu: '10m' } } },
          ],
        },
      },
    },
  };
}
