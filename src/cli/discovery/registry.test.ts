import { describe, expect, it } from 'vitest';
import { Registry, type RegistryRow, type RegistryStore } from './registry.ts';

const logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** A discovery service in memory with a settable number of failures. */
class MemoryStore implements RegistryStore {
  readonly rows = new Map<string, RegistryRow>();
  revision = 1;
  failures = 0;
  watches = 0;
  readonly #watchers = new Set<(row: RegistryRow) => void>();

  get(key: string): Promise<string | undefined> {
    if (this.failures-- > 0) return Promise.reject(new Error('down'));
    return Promise.resolve(this.rows.get(key)?.value);
  }

  list(prefix: string): Promise<{ rows: RegistryRow[]; revision: number }> {
    const rows = [...this.rows.values()].filter(({ key }) => key.startsWith(prefix));
    return Promise.resolve({ rows, revision: this.revision });
  }

  put(key: string, value: string): Promise<void> {
    this.revision += 1;
    const row = { key, value, createRevision: this.rows.get(key)?.createRevision ?? this.revision };
    this.rows.set(key, row);
    for (const watcher of this.#watchers) watcher(row);
    return Promise.resolve();
  }

  async *watch(prefix: string): AsyncGenerator<RegistryRow[]> {
    this.watches += 1;
    if (this.failures-- > 0) throw new Error('broken off');
    for (;;) {
      const row = await new Promise<RegistryRow>((resolve) => this.#watchers.add(resolve));
      this.#watchers.clear();
      if (row.key.startsWith(prefix)) yield [row];
    }
  }

  close(): void {
    this.#watchers.clear();
  }
}

const SIZE_KEY = '/_etcd/registry/t/_config/size';

async function ofSize(size: string): Promise<{ store: MemoryStore; pauses: number[]; registry: Registry }> {
  const store = new MemoryStore();
  await store.put(SIZE_KEY, size);
  const pauses: number[] = [];
  const pause = (ms: number): Promise<void> => {
    pauses.push(ms);
    return Promise.resolve();
  };
  return { store, pauses, registry: new Registry({ store, token: 't', logger, pause }) };
}

describe('the v3 discovery protocol', () => {
  it('waits for the configured number of members and keeps their order', async () => {
    const { store, registry } = await ofSize('3');
    await store.put('/_etcd/registry/t/members/c', 'c=http://c:1');
    const joined = registry.join('b', 'b=http://b:1,b=http://b:2');
    while (store.watches === 0) await new Promise(setImmediate);
    expect(store.rows.get('/_etcd/registry/t/members/b')?.value).toBe('b=http://b:1,b=http://b:2');
    await store.put('/_etcd/registry/t/members/x', 'nonsense');
    await new Promise(setImmediate);
    await store.put('/_etcd/registry/t/members/a', 'a=http://a:1');
    expect(await joined).toBe('c=http://c:1,b=http://b:1,b=http://b:2,a=http://a:1');
  });

  it('accepts a member that has registered before', async () => {
    const { store, registry } = await ofSize('2');
    await store.put('/_etcd/registry/t/members/a', 'a=http://a:1');
    await store.put('/_etcd/registry/t/members/b', 'b=http://b:1');
    expect(await registry.join('a', 'a=http://a:1')).toBe('a=http://a:1,b=http://b:1');
  });

  it('refuses members above the configured number', async () => {
    const { store, registry } = await ofSize('1');
    await store.put('/_etcd/registry/t/members/a', 'a=http://a:1');
    await expect(registry.join('b', 'b=http://b:1')).rejects.toThrow('discovery: cluster is full');
    expect(store.rows.has('/_etcd/registry/t/members/b')).toBe(false);
  });

  it.each(['0', '-1', 'x', '', '1.5'])('refuses the size %j', async (size) => {
    const { registry } = await ofSize(size);
    await expect(registry.join('a', 'a=http://a:1')).rejects.toThrow('discovery: size key is bad');
  });

  it('refuses a token without a size', async () => {
    const { store, registry } = await ofSize('1');
    store.rows.clear();
    await expect(registry.join('a', 'a=http://a:1')).rejects.toThrow('discovery: size key not found');
  });

  it('refuses members with invalid URLs', async () => {
    const { registry } = await ofSize('1');
    await expect(registry.join('a', 'a=nowhere')).rejects.toThrow('discovery: invalid peer URL');
  });

  it('retries with increasing pauses, and lists the members again after a failed watch', async () => {
    const { store, pauses, registry } = await ofSize('2');
    store.failures = 10;
    const joined = registry.join('a', 'a=http://a:1');
    while (store.failures > 0) await new Promise(setImmediate);
    expect(pauses.slice(0, 9)).toEqual([2, 4, 8, 16, 32, 64, 128, 256, 256].map((seconds) => seconds * 1000));
    while (store.watches === 0) await new Promise(setImmediate);
    await store.put('/_etcd/registry/t/members/b', 'b=http://b:1');
    expect(await joined).toBe('a=http://a:1,b=http://b:1');
    expect(pauses).toHaveLength(10);
  });
});
