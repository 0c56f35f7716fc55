import type { BucketContents } from '../../bbolt/writer.ts';
import { fileOf } from './history.ts';

export const bucket = (elements: [string, Buffer][]): BucketContents => ({
  elements: () => elements.map(([key, value]) => ({ key: Buffer.from(key, 'latin1'), value })),
});
export const database = (buckets: Record<string, BucketContents>): Buffer =>
  fileOf({
    elements: () =>
      Object.keys(buckets)
        .sort()
        .map((name) => ({ key: Buffer.from(name), bucket: buckets[name] ?? bucket([]) })),
  });
