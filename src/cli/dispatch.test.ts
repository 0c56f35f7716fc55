import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { runCli, type Serve } from './dispatch.ts';

const folder = mkdtempSync(join(tmpdir(), 'cli-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function run(
  args: readonly string[],
  serve: Serve = () => Promise.resolve(0),
): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const code = await runCli({
    args,
    environment: {},
    serve,
    out: (text) => void (out += text),
    err: (text) => void (err += text),
  });
  return { code, out, err };
}

it.each([['--version'], ['version']])('%s starts with the line that tools parse', async (arg) => {
  const { code, out } = await run([arg]);
  expect(code).toBe(0);
  expect(out).toMatch(
    /^etcd Version: 3\.7\.1\nGit SHA: .+\nGo Version: .+\nGo OS\/Arch: \w+\/\w+\nKeystead Version: /,
  );
});

it('an unknown flag prints the usage and exits with 2', async () => {
  const { code, err } = await run(['--nope']);
  expect(code).toBe(2);
  expect(err).toMatch(/^flag provided but not defined: -nope\nUsage:\n/);
});

it('--help lists flags and exits with 0', async () => {
  const { code, out } = await run(['--help']);
  expect(code).toBe(0);
  expect(out).toContain('--listen-client-urls');
});

it('the server gets its configuration and an open log output', async () => {
  const path = join(folder, 'server.log');
  const { code } = await run(['--name=x', `--log-outputs=${path}`], (config, logging) => {
    logging.for('test.ts').info('serving', { name: config.name });
    return Promise.resolve(7);
  });
  expect(code).toBe(7);
  const lines = readFileSync(path, 'utf8').trim().split('\n');
  expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({
    level: 'info',
    caller: 'test.ts',
    msg: 'serving',
    name: 'x',
  });
});

it('a log output that cannot be opened exits with 1', async () => {
  const { code, err } = await run(['--name=x', `--log-outputs=${join(folder, 'missing', 'x.log')}`]);
  expect(code).toBe(1);
  expect(err).toContain('cannot open log output');
});

it.each(['gateway', 'grpc-proxy', 'bench', 'snapshot'])('%s prints why it does nothing', async (name) => {
  const { code, err } = await run([name]);
  expect(code).toBeGreaterThan(0);
  expect(err).toContain(`keystead ${name}: `);
});

it('verify without a directory is a usage error', async () => {
  const { code, err } = await run(['verify']);
  expect(code).toBe(2);
  expect(err).toContain('Usage: keystead verify');
});
