import { expect, it } from 'vitest';
import { probePeers } from './peer-probe.ts';

const silent = (): void => undefined;
const logger = { debug: silent, info: silent, warn: silent, error: silent };

it('only a few of thousands of peer URLs are probed', async () => {
  const asked: (readonly string[])[] = [];
  let underWay = 0;
  let most = 0;
  const client = {
    cluster: async (urls: readonly string[]): Promise<never> => {
      asked.push(urls);
      most = Math.max(most, (underWay += 1));
      await new Promise((resolve) => setImmediate(resolve));
      underWay -= 1;
      throw new Error('nobody is there');
    },
  };
  const urls = Array.from({ length: 5000 }, (_, n) => `http://127.0.0.1:${1000 + n}`);
  await probePeers(urls, { client, clusterId: 1n, logger });
  expect(asked.slice(0, 2)).toEqual([[urls[0]], [urls[1]]]);
  expect(most).toBeLessThanOrEqual(16);
  expect(asked.length).toBeLessThanOrEqual(16);
});
