import { expect, it } from 'vitest';
import { eventually } from '../harness/wait.ts';
import { configMap, kubernetesSuite } from './suite.ts';
import { Watcher } from './watcher.ts';

const TOTAL = 10_000;
const PAGE_SIZE = 500;

kubernetesSuite('Ten thousand ConfigMaps', {}, (cluster) => {
  it('creates, lists in pages, watches and deletes them all', async () => {
    const namespace = await cluster.newNamespace();
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const watcher = await Watcher.resuming(cluster.plane.kubeConfig, path);
    const names = Array.from({ length: TOTAL }, (_, index) => `m${String(index).padStart(5, '0')}`);

    const created = await timed('created', async () => {
      const queue = names.values();
      const writer = async () => {
        for (const name of queue) {
          const { status, text } = await cluster.plane.rest.post(
            path,
            configMap(name, { value: name.repeat(40) }),
          );
          if (status !== 201) throw new Error(`creation of ${name}: ${status} ${text}`);
        }
      };
      await Promise.all(Array.from({ length: 32 }, writer));
    });
    expect(created).toBeGreaterThan(0);

    await timed('listed in pages', async () => {
      const seen: (string | undefined)[] = [];
      let next: string | undefined;
      do {
        const page = await cluster.core.listNamespacedConfigMap({
          namespace,
          limit: PAGE_SIZE,
          ...(next === undefined ? {} : { _continue: next }),
        });
        seen.push(...page.items.map(({ metadata }) => metadata?.name));
        next = page.metadata?._continue === '' ? undefined : page.metadata?._continue;
        expect(page.metadata?.remainingItemCount).toBe(next === undefined ? undefined : TOTAL - seen.length);
      } while (next !== undefined);
      expect(seen).toEqual(names);
    });

    await watcher.until('every creation', ({ events }) => events.length >= TOTAL, 60_000);
    expect(new Set(watcher.story).size).toBe(TOTAL);

    await timed('deleted as a collection', async () => {
      expect((await cluster.plane.rest.delete(path)).status).toBe(200);
    });
    await eventually(
      'an empty list',
      async () => (await cluster.core.listNamespacedConfigMap({ namespace, limit: 1 })).items.length === 0,
    );
    await watcher.until('every deletion', ({ events }) => events.length >= 2 * TOTAL, 60_000);
    watcher.stop();
  });
});

async function timed(what: string, work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  const seconds = (performance.now() - started) / 1000;
  console.log(`${TOTAL} ConfigMaps ${what} in ${seconds.toFixed(1)} s`);
  return seconds;
}
