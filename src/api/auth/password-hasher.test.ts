import { EventEmitter } from 'node:events';
import type { Worker } from 'node:worker_threads';
import bcrypt from 'bcryptjs';
import { afterEach, expect, it, vi } from 'vitest';
import { errors } from '../../wire/errors.ts';
import { type Login, PasswordHasher } from './password-hasher.ts';
import { type PasswordTask, runPasswordTask } from './password-task.ts';
import { RecentLogins } from './recent-logins.ts';

/** A worker whose tasks end when the test says so. */
class HeldWorker extends EventEmitter {
  readonly tasks: PasswordTask[] = [];
  terminated = false;

  postMessage(task: PasswordTask): void {
    this.tasks.push(task);
  }

  finish(): void {
    const task = this.tasks.shift();
    if (task !== undefined) this.emit('message', runPasswordTask(task));
  }

  unref(): void {
    // Nothing keeps the process running.
  }

  terminate(): Promise<number> {
    this.terminated = true;
    this.emit('exit', 1);
    return Promise.resolve(0);
  }
}

const hash = Buffer.from(bcrypt.hashSync('right', 4));
const hashers: PasswordHasher[] = [];
afterEach(() => {
  for (const hasher of hashers.splice(0)) hasher.close();
});

const login = (username: string, password: string, isWanted = true): Login => ({
  username,
  password,
  hash,
  isWanted: () => isWanted,
});

function held(threads = 1): { hasher: PasswordHasher; workers: HeldWorker[]; clock: { now: number } } {
  const workers: HeldWorker[] = [];
  const clock = { now: 0 };
  const hasher = new PasswordHasher({
    cost: 4,
    threads,
    recent: new RecentLogins(() => clock.now),
    startWorker: () => {
      const worker = new HeldWorker();
      workers.push(worker);
      return worker as unknown as Worker;
    },
  });
  hashers.push(hasher);
  return { hasher, workers, clock };
}

it('hashes and verifies on a real worker thread', async () => {
  const hasher = new PasswordHasher({ cost: 5, threads: 1 });
  hashers.push(hasher);
  const made = await hasher.hash('secret', 'root');
  expect(made.toString()).toMatch(/^\$2a\$05\$.{53}$/);
  expect(bcrypt.compareSync('secret', made.toString())).toBe(true);
  const verify = (password: string): Promise<boolean> =>
    hasher.verify({ username: 'u', password, hash: made, isWanted: () => true });
  expect([await verify('secret'), await verify('Secret'), await verify('')]).toEqual([true, false, false]);
  expect(await hasher.verify({ ...login('u', 'x'), hash: Buffer.from('not a hash') })).toBe(false);
});

it('a correct password is not hashed again for a while; a wrong one always is', async () => {
  const { hasher, workers, clock } = held();
  const first = hasher.verify(login('u', 'right'));
  const together = hasher.verify(login('u', 'right'));
  expect(workers[0]?.tasks).toHaveLength(1);
  workers[0]?.finish();
  expect([await first, await together, await hasher.verify(login('u', 'right'))]).toEqual([true, true, true]);
  for (let round = 0; round < 2; round++) {
    const wrong = hasher.verify(login('u', 'wrong'));
    expect(workers[0]?.tasks).toHaveLength(1);
    workers[0]?.finish();
    expect(await wrong).toBe(false);
  }
  // The password has changed in the meantime. The remembered login belongs to the old hash.
  const changed = hasher.verify({ ...login('u', 'right'), hash: Buffer.from(bcrypt.hashSync('next', 4)) });
  expect(workers[0]?.tasks).toHaveLength(1);
  workers[0]?.finish();
  expect(await changed).toBe(false);
  clock.now += 59_999;
  expect(await hasher.verify(login('u', 'right'))).toBe(true);
  clock.now += 1;
  const late = hasher.verify(login('u', 'right'));
  expect(workers[0]?.tasks).toHaveLength(1);
  workers[0]?.finish();
  expect(await late).toBe(true);
});

it('waiting tasks are limited, users take turns, and tasks of callers that left are skipped', async () => {
  const { hasher, workers } = held();
  const flood = Array.from({ length: 512 }, () => hasher.verify(login('victim', 'guess')));
  const other = hasher.verify(login('other', 'right'));
  await expect(hasher.verify(login('third', 'x'))).rejects.toBe(errors.RequestTooManyRequests);
  workers[0]?.finish();
  workers[0]?.finish();
  workers[0]?.finish();
  // The user with many tasks had the first turn and one more.
  expect(await other).toBe(true);
  const [first, second] = await Promise.all(flood.slice(0, 2));
  expect([first, second]).toEqual([false, false]);
  const settled = Promise.allSettled(flood);
  hasher.close();
  const outcomes = await settled;
  expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(510);

  const next = held();
  const begun = next.hasher.verify(login('a', 'guess'));
  const left = next.hasher.verify(login('b', 'right', false));
  next.workers[0]?.finish();
  expect([await begun, await left]).toEqual([false, false]);
  expect(next.workers[0]?.tasks).toHaveLength(0);
});

it('starts up to the allowed number of workers and replaces a failed one', async () => {
  const { hasher, workers } = held(2);
  const all = [1, 2, 3].map((n) => hasher.verify(login(`u${n}`, 'right')));
  expect(workers).toHaveLength(2);
  workers[0]?.emit('error', new Error('gone'));
  await expect(all[0]).rejects.toThrow('gone');
  expect(workers).toHaveLength(3);
  workers[1]?.finish();
  workers[2]?.finish();
  expect(await Promise.all(all.slice(1))).toEqual([true, true]);
});

it('idle workers end', async () => {
  vi.useFakeTimers();
  try {
    const { hasher, workers } = held();
    const done = hasher.verify(login('u', 'right'));
    workers[0]?.finish();
    await done;
    vi.advanceTimersByTime(30_000);
    expect(workers[0]?.terminated).toBe(true);
    void hasher.verify(login('u2', 'right')).catch(() => undefined);
    expect(workers).toHaveLength(2);
  } finally {
    vi.useRealTimers();
  }
});
