import { existsSync, readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DoctorReport } from '../../src/cli/doctor/doctor.ts';
import { PutRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { TestCluster } from '../clusters/test-cluster.ts';
import { Certificates } from '../harness/certificates.ts';
import { ShiftedClock } from '../harness/clock-shift.ts';
import { runCommand } from '../harness/command.ts';
import { diskFaultsMissing, FaultyDisk } from '../harness/disk-faults.ts';
import { Member, nodePath, serverUnderTest } from '../harness/member.ts';
import { keysteadBundle, missingPeers } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { startWithUsers } from '../harness/users.ts';
import { eventually } from '../harness/wait.ts';
import { DelayedPeerNetwork } from '../reliability/matrix/hosts.ts';

interface Outcome {
  readonly code: number | null;
  readonly report: DoctorReport;
}

async function doctor(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const command = [keysteadBundle(), 'doctor', '-o', 'json', ...args];
  const { code, stdout, stderr } = await runCommand(nodePath, command, { env });
  if (stdout === '') throw new Error(stderr);
  return { code, report: JSON.parse(stdout) as DoctorReport };
}

function texts({ report }: Outcome, ...levels: readonly string[]): string[] {
  return report.findings
    .filter(({ level }) => levels.includes(level))
    .map(({ subject, message }) => `${subject}: ${message}`);
}

/** Times that depend on the load of the machine which runs the test. */
const timing = /^(disk of|syncs of|event loop of|latency from)/;

describe.skipIf(serverUnderTest === 'etcd')('keystead doctor', () => {
  let cluster: TestCluster;

  beforeAll(async () => {
    cluster = await TestCluster.create(['keystead', 'keystead', 'keystead']);
  });
  afterAll(() => cluster.destroy());

  it('finds a healthy cluster well', async () => {
    const [first] = cluster.members;
    if (first === undefined) throw new Error('three members run');
    await cluster.leader();
    const outcome = await doctor([`--endpoints=${first.endpoint}`, `--data-dir=${first.dataDir}`]);
    expect(texts(outcome, 'warning', 'problem').filter((text) => !timing.test(text))).toEqual([]);
    const well = texts(outcome, 'ok');
    expect(
      well.filter((text) => /^member keystead\d \([0-9a-f]+\): answers, version 3\./.test(text)),
    ).toHaveLength(3);
    expect(well).toContainEqual(expect.stringMatching(/^leader: member keystead\d \(/));
    expect(well).toContain('members: 3 voters');
    expect(well).toContain('alarms: none');
    expect(well).toContain('clocks: all agree within two seconds');
    expect(well.filter((text) => /^flags of .* --name=keystead\d /.test(text))).toHaveLength(3);
    expect(well.filter((text) => /^quota of .* % of 2147483648 bytes/.test(text))).toHaveLength(3);
    const all = texts(outcome, 'ok', 'warning', 'problem');
    expect(all).toContainEqual(expect.stringMatching(/^disk of .* syncs, median \d/));
    // Its own file is removed.
    expect(readdirSync(first.dataDir)).toEqual(['member']);
    expect(outcome.code).toBe({ ok: 0, warning: 1, problem: 2 }[outcome.report.level]);
  });

  it.skipIf(diskFaultsMissing !== undefined)(
    `finds a slow disk ${diskFaultsMissing ?? ''}`,
    async () => {
      const [first] = cluster.members;
      const diskOf = (outcome: Outcome): string[] =>
        texts(outcome, 'problem').filter((text) => text.startsWith('disk'));
      const disk = new FaultyDisk();
      disk.set({ calls: ['sync'], path: '*keystead-doctor*', delayMs: 150 });
      const args = [`--endpoints=${first?.endpoint ?? ''}`, `--data-dir=${first?.dataDir ?? ''}`];
      const slow = await doctor(args, disk.env);
      expect(slow.code).toBe(2);
      expect(diskOf(slow)).toEqual([
        expect.stringMatching(/^disk of .*: far too slow: \d+ syncs, median \d{3}\.\d ms/),
      ]);
      disk.set({ calls: ['sync'], path: '*keystead-doctor*', error: 'EIO' });
      const broken = await doctor(args, disk.env);
      expect(diskOf(broken)).toEqual([expect.stringMatching(/^disk of .*: cannot be tested: EIO/)]);
      expect(readdirSync(first?.dataDir ?? '')).toEqual(['member']);
      disk.set({ calls: ['sync'], path: '*keystead-doctor*', isStuck: true });
      const healed = setTimeout(() => disk.heal(), 12_000);
      const stuck = await doctor(args, disk.env);
      clearTimeout(healed);
      expect(diskOf(stuck)).toEqual([
        expect.stringMatching(/^disk of .*: the first sync did not end within 10 seconds/),
      ]);
    },
    60_000,
  );

  it('finds a member that does not run', async () => {
    const [first, , last] = cluster.members;
    await last?.kill();
    const outcome = await doctor([`--endpoints=${first?.endpoint ?? ''}`]);
    expect(outcome.code).toBe(2);
    expect(texts(outcome, 'problem')).toContainEqual(
      expect.stringMatching(/^member keystead2 \([0-9a-f]+\): does not answer: .*no connection/),
    );
    await last?.start();
  });

  it('finds a peer with 200 ms', async () => {
    const network = await DelayedPeerNetwork.open(3, 200);
    const slow = await TestCluster.create(
      ['keystead', 'keystead', 'keystead'],
      [],
      () => ({}),
      network.placements,
    );
    try {
      await slow.leader();
      const endpoint = `--endpoints=${slow.members[0]?.endpoint ?? ''}`;
      // The members measure it every four seconds.
      const outcome = await eventually(
        'the latency is known',
        async () => {
          const found = await doctor([endpoint]);
          return texts(found, 'warning').some((text) => text.startsWith('latency')) ? found : undefined;
        },
        { timeoutMs: 30_000 },
      );
      const latency = outcome.report.findings.find(
        ({ subject, level }) => subject.startsWith('latency') && level === 'warning',
      );
      expect(latency?.subject).toMatch(
        /^latency from member keystead\d \(\w+\) to member keystead\d \(\w+\)$/,
      );
      expect(latency?.message).toMatch(
        /^[2-4]\d\d\.\d ms for a round trip, more than a heartbeat interval \(100 ms\)$/,
      );
      expect(latency?.hint).toMatch(/--heartbeat-interval to \d{3} and --election-timeout to \d{4}/);
    } finally {
      await slow.destroy();
      network.remove();
    }
  });

  it('finds a clock that is wrong', async () => {
    const clock = new ShiftedClock();
    const odd = await TestCluster.create(['keystead', 'keystead', 'keystead'], [], (name) =>
      name === 'keystead1' ? clock.environment : {},
    );
    try {
      clock.shift(60_000);
      const outcome = await doctor([`--endpoints=${odd.members[0]?.endpoint ?? ''}`]);
      expect(texts(outcome, 'problem').filter((text) => !timing.test(text))).toEqual([
        expect.stringMatching(/^clocks: the clock of member keystead1 \(\w+\) is at least 5\d\.\d s ahead/),
      ]);
    } finally {
      await odd.destroy();
    }
  });

  it('finds a full quota', async () => {
    const full = await Member.start({ kind: 'keystead', flags: ['--quota-backend-bytes=65536'] });
    const client = new RpcClient(full.endpoint);
    try {
      await eventually('the quota is full', async () => {
        const put = PutRequest.create({ key: Buffer.from('big'), value: Buffer.alloc(20_000) });
        return 'code' in (await client.unary(KV.methods.put, put));
      });
      const outcome = await eventually('the alarm is raised', async () => {
        const found = await doctor([`--endpoints=${full.endpoint}`]);
        return texts(found, 'problem').some((text) => text.startsWith('alarms')) ? found : undefined;
      });
      expect(outcome.code).toBe(2);
      expect(texts(outcome, 'problem').filter((text) => !timing.test(text))).toEqual([
        expect.stringMatching(/^alarms: NOSPACE on member [0-9a-f]+$/),
        expect.stringMatching(/^quota of member m0 \(\w+\): \d+\.\d % of 65536 bytes are used$/),
      ]);
    } finally {
      client.close();
      await full.destroy();
    }
  });

  it('finds a certificate that ends in three days, and odd flags', async () => {
    const files = new Certificates('doctor');
    files.issue('server', { hosts: ['127.0.0.1'], days: 3 });
    files.issue('client', { commonName: 'root', days: 100 });
    const port = await freePort();
    const health = `http://127.0.0.1:${await freePort()}`;
    const url = `https://127.0.0.1:${port}`;
    const secure = await Member.start({
      kind: 'keystead',
      clientPort: port,
      healthUrl: health,
      flags: [
        ...[
          `--listen-client-urls=${url}`,
          `--advertise-client-urls=${url}`,
          `--listen-metrics-urls=${health}`,
        ],
        ...[`--cert-file=${files.path('server.crt')}`, `--key-file=${files.path('server.key')}`],
        ...['--client-cert-auth', `--trusted-ca-file=${files.path('ca.crt')}`],
        ...['--unsafe-no-fsync', '--enable-pprof'],
      ],
    });
    try {
      const outcome = await doctor([`--endpoints=${url}`, ...files.flags('client')]);
      expect(outcome.code).toBe(2);
      const found = texts(outcome, 'warning', 'problem').filter((text) => !timing.test(text));
      expect(found).toEqual([
        expect.stringMatching(/^flags of member m0 \(\w+\): --unsafe-no-fsync: a crash/),
        expect.stringMatching(/^flags of member m0 \(\w+\): --enable-pprof: profiles/),
        expect.stringMatching(`^certificate of ${url}: ends in 3 days, on `),
      ]);
      const without = await doctor([`--endpoints=${url}`, `--cacert=${files.path('ca.crt')}`]);
      expect(without.code).toBe(2);
      expect(texts(without, 'problem')[0]).toContain('the list of members cannot be read');
    } finally {
      await secure.destroy();
    }
  });

  it.each(['keystead', 'etcd'] as const)(
    'examines %s with users, and names a login that fails',
    async (kind) => {
      if (missingPeers(kind === 'etcd' ? 'etcd' : 'etcdctl') !== undefined) return;
      const { member, flags, destroy } = await startWithUsers(kind);
      try {
        const at = [`--endpoints=https://127.0.0.1:${member.clientPort}`, ...flags];
        for (const user of ['root:root', 'alice:secret']) {
          const outcome = await doctor([...at, `--user=${user}`]);
          expect(texts(outcome, 'problem')).toEqual([]);
          const well = texts(outcome, 'ok');
          for (const subject of ['member', 'leader', 'members', 'alarms', 'quota of', 'versions', 'flags of'])
            expect(well).toContainEqual(expect.stringMatching(`^${subject} ?.*: `));
          const isUnknown = well.some((text) => text.endsWith('unknown, because only Keystead measures it'));
          expect(isUnknown).toBe(kind === 'etcd');
        }
        const nobody = await doctor(at);
        expect(nobody.code).toBe(2);
        expect(texts(nobody, 'problem')).toEqual([expect.stringContaining('etcdserver: user name is empty')]);
        const wrong = await doctor([...at, '--user=root:wrong']);
        expect(wrong.code).toBe(2);
        expect(texts(wrong, 'problem')).toEqual([expect.stringContaining('authentication failed')]);
      } finally {
        await destroy();
      }
    },
    60_000,
  );

  it.skipIf(missingPeers('etcd') !== undefined)(
    'examines a cluster of etcd',
    async () => {
      const others = await TestCluster.create(['etcd', 'etcd', 'etcd'], ['--enable-pprof']);
      try {
        await others.leader();
        const outcome = await doctor([`--endpoints=${others.members[0]?.endpoint ?? ''}`]);
        expect(texts(outcome, 'problem').filter((text) => !timing.test(text))).toEqual([]);
        expect(texts(outcome, 'warning').filter((text) => text.includes('--enable-pprof'))).toHaveLength(3);
        const well = texts(outcome, 'ok');
        expect(well).toContain('members: 3 voters');
        expect(well.filter((text) => /^event loop of .*only Keystead measures it$/.test(text))).toHaveLength(
          3,
        );
      } finally {
        await others.destroy();
      }
    },
    60_000,
  );

  it('prints a report for people, and ends with 2 for a wrong command line', async () => {
    const [first] = cluster.members;
    const command = [keysteadBundle(), 'doctor', `--endpoints=${first?.endpoint ?? ''}`];
    const { stdout } = await runCommand(nodePath, command);
    expect(stdout).toMatch(/^ok {7}member keystead\d/);
    expect(stdout.trim().split('\n').at(-1)).toMatch(/^\d+ problems?, \d+ warnings?$/);
    const wrong = await runCommand(nodePath, [keysteadBundle(), 'doctor', '--nope']);
    expect(wrong).toMatchObject({ code: 2, stdout: '' });
    expect(wrong.stderr).toContain('Usage: keystead doctor');
    const missing = await doctor(['--endpoints=127.0.0.1:1', '--data-dir=/nowhere']);
    expect(texts(missing, 'problem')).toEqual([
      expect.stringMatching(/^cluster: the list of members cannot be read: 127.0.0.1:1: no connection/),
      expect.stringMatching(/^disk of \/nowhere: cannot be tested: ENOENT/),
    ]);
    expect(existsSync('/nowhere')).toBe(false);
  });
});
