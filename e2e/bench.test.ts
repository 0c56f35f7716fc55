import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CommandResult, runCommand } from './harness/command.ts';
import { Etcdctl } from './harness/etcdctl.ts';
import { Member, type MemberKind } from './harness/member.ts';
import { keysteadBundle, missingPeers } from './harness/paths.ts';
import { freePort } from './harness/ports.ts';
import { startWithUsers } from './harness/users.ts';

interface Report {
  readonly operation: string;
  readonly count: number;
  readonly failures: number;
  readonly reasons: Readonly<Record<string, number>>;
  readonly perSecond: number;
  readonly seconds: number;
  readonly latencyMs: Readonly<Record<string, number>>;
}

function bench(...args: readonly string[]): Promise<CommandResult> {
  return runCommand(process.execPath, [keysteadBundle(), 'bench', ...args], { timeoutMs: 60_000 });
}

async function reportOf(...args: readonly string[]): Promise<Report> {
  const { code, stdout, stderr } = await bench(...args, '-o', 'json');
  // Node.js warns when a client connects to an IP address by TLS.
  expect({ code, stderr: /DEP0123/.test(stderr) ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Report;
}

describe.each(['keystead', 'etcd'] as const)('keystead bench against %s', (kind: MemberKind) => {
  const missing = kind === 'etcd' ? missingPeers('etcd') : undefined;
  describe.skipIf(missing !== undefined)(missing ?? 'without TLS', () => {
    let member: Member;
    beforeAll(async () => {
      member = await Member.start({ kind });
    });
    afterAll(() => member.destroy());

    it.each([
      ['put', ['--total=300'], 300],
      ['get', ['--total=300', '--keys=100'], 300],
      ['get', ['--total=100', '--keys=1', '--serializable'], 100],
      ['txn', ['--total=50', '--txn-ops=4'], 50],
      ['list', ['--total=5', '--keys=130', '--page-size=50'], 5],
      ['list', ['--total=3', '--keys=20', '--page-size=0'], 3],
      ['watch', ['--total=100', '--watches=7'], 700],
    ])('measures %s %s', async (operation, flags, count) => {
      const report = await reportOf(operation, `--endpoints=${member.endpoint}`, ...flags);
      expect(report).toMatchObject({ operation, count, failures: 0, reasons: {} });
      expect(report.perSecond).toBeGreaterThan(0);
      const { p50 = 0, p90 = 0, p99 = 0, max = 0 } = report.latencyMs;
      expect([0, p50, p90, p99, max].toSorted((a, b) => a - b)).toEqual([0, p50, p90, p99, max]);
    });

    it('removes its keys, and no others', async () => {
      const ctl = new Etcdctl(member.endpoint);
      await ctl.ok(['put', 'keystead-bench0', 'of somebody else']);
      await ctl.ok(['put', 'kept', 'of somebody else']);
      await bench('put', `--endpoints=${member.endpoint}`, '--total=20');
      const keys = await ctl.ok(['get', '', '--prefix', '--keys-only']);
      expect(keys.split('\n').filter((key) => key !== '')).toEqual(['kept', 'keystead-bench0']);
    });

    it('keeps its keys if asked to, and prints text', async () => {
      const { code, stdout } = await bench(
        ...['put', `--endpoints=${member.endpoint}`, '--total=20', '--keys=5', '--value-size=33'],
        ...['--keep', '--prefix=mine/'],
      );
      expect(code).toBe(0);
      expect(stdout).toMatch(
        /^put: 20 requests in [\d.]+ s, [\d.]+ per second\nlatency in ms: mean [\d.]+, p50 [\d.]+, p90 [\d.]+, p99 [\d.]+, max [\d.]+\n$/,
      );
      const found = await new Etcdctl(member.endpoint).ok(['get', 'mine/', '--prefix']);
      const lines = found.trim().split('\n');
      expect(lines).toHaveLength(10);
      expect(lines[1]).toHaveLength(33);
    });

    it('holds a rate', async () => {
      const report = await reportOf('put', `--endpoints=${member.endpoint}`, '--total=100', '--rate=100');
      expect(report.seconds).toBeGreaterThan(0.98);
    });
  });
});

describe('keystead bench', () => {
  it('ends with 2 for a wrong command line', async () => {
    for (const args of [[], ['nothing'], ['put', '--total=x'], ['put', '--nope'], ['put', '--prefix=a']])
      expect(await bench(...args)).toMatchObject({ code: 2, stdout: '' });
  });

  it('ends with 1 if no endpoint answers', async () => {
    const endpoint = `127.0.0.1:${await freePort()}`;
    const { code, stdout } = await bench(
      'put',
      `--endpoints=${endpoint}`,
      '--total=3',
      '--command-timeout=1',
    );
    expect(code).toBe(1);
    expect(stdout).toMatch(/3 failed:\n {2}3 times: no connection/);
  });

  it('works with TLS and users, and names what the user may not do', async () => {
    const { member, flags, destroy } = await startWithUsers('keystead');
    try {
      const endpoint = `--endpoints=https://127.0.0.1:${member.clientPort}`;
      const own = ['put', endpoint, ...flags, '--user=alice:secret', '--total=20'];
      expect(await reportOf(...own, '--prefix=own/')).toMatchObject({ count: 20, failures: 0 });
      const { code, stdout } = await bench(...own, '--prefix=other/', '-o', 'json');
      expect(code).toBe(1);
      expect(JSON.parse(stdout)).toMatchObject({
        failures: 20,
        reasons: { 'etcdserver: permission denied': 20 },
      });
    } finally {
      await destroy();
    }
  });
});
