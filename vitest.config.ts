import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

type TestOptions = TestProjectInlineConfiguration['test'];

/** Simulations, fuzzing, random models and much data, which take most of the processor time of all unit tests. */
const SLOW = 'src/**/*.slow.test.ts';

/** Faults, restarts, soak and fuzzing of real processes: `npm run e2e:reliability`. */
const RELIABILITY = 'e2e/reliability/**/*.test.ts';

/** A real Kubernetes node, which takes long to build and to run: `npm run e2e:node`. */
const NODE = 'e2e/node/cluster/**/*.test.ts';

const unit: TestOptions = {
  pool: 'forks',
  setupFiles: ['src/lib/testing/set-up.ts'],
};

/** Tests of real processes run one after another. */
const e2e: TestOptions = {
  pool: 'forks',
  poolOptions: { forks: { singleFork: true } },
  setupFiles: ['src/lib/testing/buffer-equality.ts', 'e2e/harness/turns-within-bound.ts'],
};

const minutes = (count: number): TestOptions => ({
  testTimeout: count * 60_000,
  hookTimeout: count * 60_000,
});

export default defineConfig({
  test: {
    projects: [
      { test: { ...unit, name: 'unit', include: ['src/**/*.test.ts'], exclude: [SLOW], ...minutes(1) } },
      { test: { ...unit, name: 'unit-slow', include: [SLOW], ...minutes(2) } },
      {
        test: {
          ...e2e,
          name: 'e2e',
          include: ['e2e/**/*.test.ts'],
          // Projects of their own, below.
          exclude: [RELIABILITY, NODE],
          // A limit against tests that hang. Conditions have limits of their own.
          ...minutes(6),
        },
      },
      { test: { ...e2e, name: 'e2e-node', include: [NODE], setupFiles: [], ...minutes(15) } },
      { test: { ...e2e, name: 'e2e-reliability', include: [RELIABILITY], ...minutes(10) } },
    ],
  },
});
