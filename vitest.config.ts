import { defineConfig } from 'vitest/config';

/** Simulations, fuzzing and random models, which take most of the processor time of all unit tests. */
const SLOW = 'src/**/*.slow.test.ts';

/** Faults, restarts, soak and fuzzing of real processes: `npm run e2e:reliability`. */
const RELIABILITY = 'e2e/reliability/**/*.test.ts';

/** A real Kubernetes node, which takes long to build and to run: `npm run e2e:node`. */
const NODE = 'e2e/node/cluster/**/*.test.ts';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts'],
          exclude: [SLOW],
          pool: 'forks',
          testTimeout: 60_000,
        },
      },
      { test: { name: 'unit-slow', include: [SLOW], pool: 'forks', testTimeout: 120_000 } },
      {
        test: {
          name: 'e2e',
          include: ['e2e/**/*.test.ts'],
          // Projects of their own, below.
          exclude: [RELIABILITY, NODE],
          setupFiles: ['e2e/harness/turns-within-bound.ts'],
          pool: 'forks',
          poolOptions: { forks: { singleFork: true } },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'e2e-node',
          include: [NODE],
          pool: 'forks',
          poolOptions: { forks: { singleFork: true } },
          testTimeout: 900_000,
          hookTimeout: 900_000,
        },
      },
      {
        test: {
          name: 'e2e-reliability',
          include: [RELIABILITY],
          setupFiles: ['e2e/harness/turns-within-bound.ts'],
          pool: 'forks',
          poolOptions: { forks: { singleFork: true } },
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
});
