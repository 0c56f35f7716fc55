import { expect, it } from 'vitest';
import { loadConfig } from './load.ts';

async function load(...args: string[]) {
  const outcome = await loadConfig({ args, environment: {} });
  if (outcome.kind === 'ready') return outcome.config.audit;
  const { late } = outcome as unknown as { late: readonly { fields?: Record<string, unknown> }[] };
  return JSON.stringify(late);
}

it('the audit log is off unless it has a path', async () => {
  expect(await load()).toBeUndefined();
  expect(await load('--audit-log-path=/a/b')).toEqual({
    path: '/a/b',
    level: 'write',
    maxSizeMegabytes: 100,
    maxBackups: 10,
  });
  expect(await load('--audit-log-path=-', '--audit-log-level=all')).toMatchObject({
    path: 'stdout',
    level: 'all',
  });
});

it('the audit log must not share an output with the log, and its level must be known', async () => {
  expect(await load('--audit-log-path=x', '--audit-log-level=some')).toContain('it must be');
  expect(await load('--audit-log-path=stderr')).toContain('both write to stderr');
  expect(await load('--audit-log-path=-', '--log-outputs=stdout')).toContain('both write to stdout');
  expect(await load('--audit-log-path=stderr', '--log-outputs=stdout')).toMatchObject({ path: 'stderr' });
});
