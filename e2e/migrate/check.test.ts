import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MigrateReport } from '../../src/cli/migrate/check.ts';
import { TestCluster } from '../clusters/test-cluster.ts';
import { Certificates } from '../harness/certificates.ts';
import { runCommand } from '../harness/command.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member } from '../harness/member.ts';
import { keysteadBundle, missingPeers } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { eventually } from '../harness/wait.ts';

const missing = missingPeers('etcd', 'etcdctl');

interface Outcome {
  readonly code: number | null;
  readonly report: MigrateReport;
}

async function check(...args: readonly string[]): Promise<Outcome> {
  const { code, stdout, stderr } = await runCommand(process.execPath, [
    keysteadBundle(),
    'migrate',
    'check',
    '-o',
    'json',
    ...args,
  ]);
  if (stdout === '') throw new Error(stderr);
  return { code, report: JSON.parse(stdout) as MigrateReport };
}

function problems({ report }: Outcome): string[] {
  return report.findings
    .filter(({ level }) => level === 'problem')
    .map(({ subject, message }) => `${subject}: ${message}`);
}

describe.skipIf(missing !== undefined)(`keystead migrate check on a real etcd ${missing ?? ''}`, () => {
  let cluster: TestCluster;

  beforeAll(async () => {
    cluster = await TestCluster.create(['etcd', 'etcd', 'etcd']);
    await cluster.ctl().ok(['put', 'key', 'value']);
  });

  afterAll(() => cluster.destroy());

  it('finds a healthy cluster safe, with the data directory of a running member', async () => {
    const [first] = cluster.members;
    // One endpoint is enough: the others are in the list of members.
    const outcome = await check(`--endpoints=${first?.endpoint ?? ''}`, `--data-dir=${first?.dataDir ?? ''}`);
    expect(problems(outcome)).toEqual([]);
    expect(outcome.code).toBe(0);
    const texts = outcome.report.findings.map(({ subject, message }) => `${subject}: ${message}`);
    expect(texts.filter((text) => text.includes('answers, version 3.7.1'))).toHaveLength(3);
    expect(texts).toContain('alarms: none');
    expect(texts.find((text) => text.startsWith('membership in the database'))).toContain(
      '3 members match raft; 3.7.0',
    );
    const text = await runCommand(process.execPath, [
      ...[keysteadBundle(), 'migrate', 'check', `--endpoints=${first?.endpoint ?? ''}`],
    ]);
    expect(text.stdout.trim().split('\n').at(-1)).toBe('safe to migrate');
  });

  it('reports a learner that was added and never started', async () => {
    const peer = `http://127.0.0.1:${await freePort()}`;
    const added = await eventually('the learner is added', async () => {
      const { code, stdout } = await cluster
        .ctl()
        .run(['member', 'add', 'new', '--learner', `--peer-urls=${peer}`]);
      return code === 0 ? stdout : undefined;
    });
    const id = /Member\s+([0-9a-f]+) added/.exec(added)?.[1] ?? '';
    const outcome = await check(`--endpoints=${cluster.members[0]?.endpoint ?? ''}`);
    expect(outcome.code).toBe(1);
    expect(problems(outcome)).toEqual([
      `member ${id}: was added but never started: start it or remove it first`,
      `learners: member ${id} is a learner: promote or remove it first`,
    ]);
    await cluster.ctl().ok(['member', 'remove', id]);
  });

  it('reports a member that does not run', async () => {
    const last = cluster.members[2];
    await last?.kill();
    const outcome = await check(`--endpoints=${cluster.members[0]?.endpoint ?? ''}`);
    expect(outcome.code).toBe(1);
    // If it was the leader, there may be none yet.
    expect(problems(outcome)).toContainEqual(
      expect.stringMatching(/^member etcd2 \([0-9a-f]+\): does not answer: .*no connection/),
    );
    await cluster.members[1]?.kill();
    const lost = await check(`--endpoints=${cluster.members[0]?.endpoint ?? ''}`, '--command-timeout=2');
    expect(lost.code).toBe(1);
    expect(problems(lost)[0]).toMatch(/^cluster: cannot confirm its members/);
    expect(problems(lost).filter((text) => text.includes('does not answer'))).toHaveLength(2);
    await Promise.all([last?.start(), cluster.members[1]?.start()]);
  });

  it('reports an alarm', async () => {
    const full = await Member.start({ kind: 'etcd', flags: ['--quota-backend-bytes=65536'] });
    try {
      const ctl = new Etcdctl(full.endpoint);
      await eventually('the NOSPACE alarm', async () => {
        await ctl.run(['put', 'big', 'x'.repeat(50_000)]);
        return (await ctl.ok(['alarm', 'list'])).includes('NOSPACE');
      });
      const outcome = await check(`--endpoints=${full.endpoint}`);
      expect(outcome.code).toBe(1);
      expect(problems(outcome)[0]).toMatch(/^alarms: NOSPACE on member [0-9a-f]+: remove the cause/);
    } finally {
      await full.destroy();
    }
  });

  it('uses TLS, and reports a certificate that ends soon', async () => {
    const files = new Certificates('migrate');
    files.issue('server', { hosts: ['127.0.0.1'], days: 1 });
    files.issue('client', { commonName: 'root', days: 100 });
    const port = await freePort();
    const health = `http://127.0.0.1:${await freePort()}`;
    const secure = await Member.start({
      kind: 'etcd',
      clientPort: port,
      healthUrl: health,
      flags: [
        ...[
          `--listen-client-urls=https://127.0.0.1:${port}`,
          `--advertise-client-urls=https://127.0.0.1:${port}`,
        ],
        ...[`--cert-file=${files.path('server.crt')}`, `--key-file=${files.path('server.key')}`],
        ...['--client-cert-auth', `--trusted-ca-file=${files.path('ca.crt')}`],
        `--listen-metrics-urls=${health}`,
      ],
    });
    try {
      const url = `https://127.0.0.1:${port}`;
      const outcome = await check(`--endpoints=${url}`, ...files.flags('client'));
      expect(outcome.code).toBe(1);
      expect(problems(outcome)).toEqual([expect.stringMatching(`^certificate of ${url}: ends in \\d days`)]);
      const without = await check(`--endpoints=${url}`, `--cacert=${files.path('ca.crt')}`);
      expect(without.code).toBe(1);
      expect(problems(without)[0]).toContain('the list of members cannot be read');
    } finally {
      await secure.destroy();
    }
  });

  it('logs in with a user', async () => {
    const member = await Member.start({ kind: 'etcd' });
    try {
      const ctl = new Etcdctl(member.endpoint);
      await ctl.ok(['user', 'add', 'root:secret']);
      await ctl.ok(['user', 'grant-role', 'root', 'root']);
      await ctl.ok(['auth', 'enable']);
      const endpoint = `--endpoints=${member.endpoint}`;
      expect(problems(await check(endpoint, '--user=root:secret'))).toEqual([]);
      expect(problems(await check(endpoint, '--user=root', '--password=wrong'))[0]).toContain(
        'authentication failed, invalid user ID or password',
      );
    } finally {
      await member.destroy();
    }
  });

  it('ends with 2 for a wrong command line', async () => {
    const { code, stderr } = await runCommand(process.execPath, [
      keysteadBundle(),
      'migrate',
      'check',
      '--nope',
    ]);
    expect(code).toBe(2);
    expect(stderr).toContain('Usage: keystead migrate check');
  });
});
