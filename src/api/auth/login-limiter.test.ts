import { expect, it } from 'vitest';
import { errors } from '../../wire/errors.ts';
import { LoginLimiter } from './login-limiter.ts';

interface World {
  readonly limiter: LoginLimiter;
  /** The names of the admitted logins, in order. */
  readonly passed: string[];
  readonly refused: unknown[];
  readonly come: (name: string, isWanted?: () => boolean) => void;
  readonly wait: (ms: number) => Promise<void>;
}

function world(perSecond: number): World {
  let now = 0;
  let tasks: { at: number; task: () => void }[] = [];
  const limiter = new LoginLimiter({
    perSecond,
    now: () => now,
    scheduler: {
      soon: (task) => task(),
      after: (delayMs, task) => {
        tasks.push({ at: now + delayMs, task });
        return () => undefined;
      },
      every: () => () => undefined,
    },
  });
  const passed: string[] = [];
  const refused: unknown[] = [];
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    limiter,
    passed,
    refused,
    come: (name, isWanted = () => true) => {
      limiter.pass(isWanted).then(
        () => passed.push(name),
        (error: unknown) => refused.push(error),
      );
    },
    wait: async (ms) => {
      await settle();
      for (const end = now + ms; now < end;) {
        now += 1;
        const due = tasks.filter(({ at }) => at <= now);
        tasks = tasks.filter(({ at }) => at > now);
        for (const { task } of due) task();
        await settle();
      }
    },
  };
}

it('admits a burst at once, and then a fixed number a second, in order', async () => {
  const { passed, come, wait } = world(100);
  const names = Array.from({ length: 50 }, (_, at) => `login ${at}`);
  for (const name of names) come(name);
  await wait(0);
  expect(passed).toEqual(names.slice(0, 10));
  await wait(100);
  expect(passed).toEqual(names.slice(0, 20));
  await wait(1000);
  expect(passed).toEqual(names);
});

it('does not save up more than a burst', async () => {
  const { passed, come, wait } = world(100);
  await wait(10_000);
  for (let at = 0; at < 50; at += 1) come(`login ${at}`);
  await wait(0);
  expect(passed.length).toBe(10);
});

it('skips logins whose callers have left', async () => {
  const { passed, come, wait } = world(100);
  for (let at = 0; at < 10; at += 1) come(`burst ${at}`);
  for (let at = 0; at < 100; at += 1) come(`gone ${at}`, () => false);
  come('waits');
  await wait(20);
  expect(passed.at(-1)).toBe('waits');
});

it('refuses logins when the queue is full, and accepts them again later', async () => {
  const { passed, refused, come, wait } = world(1000);
  for (let at = 0; at < 10_100; at += 1) come(`login ${at}`);
  come('one too many');
  await wait(0);
  expect(refused).toEqual([errors.RequestTooManyRequests]);
  await wait(500);
  come('later');
  await wait(10_000);
  expect(passed.length).toBe(10_101);
  expect(passed.at(-1)).toBe('later');
});

it('without a limit admits all logins', async () => {
  const { passed, come, wait } = world(0);
  for (let at = 0; at < 1000; at += 1) come(`login ${at}`);
  await wait(0);
  expect(passed.length).toBe(1000);
});
