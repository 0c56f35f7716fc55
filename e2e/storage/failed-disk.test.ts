import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestCluster } from '../clusters/test-cluster.ts';
import { type DiskFault, diskFaultsMissing, diskPaths, FaultyDisk } from '../harness/disk-faults.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member, serverUnderTest } from '../harness/member.ts';
import { metricOf } from '../harness/metrics.ts';
import { missingPeers } from '../harness/paths.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';
import { PutRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';

/** Go programs do not use the C library for system calls, so disk faults are possible only for Keystead. */
const missing =
  serverUnderTest === 'etcd'
    ? 'skipped: etcd is out of reach'
    : (diskFaultsMissing ?? missingPeers('etcdctl'));
const MAX_UNAVAILABLE_MS = 3000;

describe.skipIf(missing !== undefined)(`a leader whose disk fails ${missing ?? ''}`.trimEnd(), () => {
  const disks = new Map<string, FaultyDisk>();
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.create(['keystead', 'keystead', 'keystead'], [], (name) => {
      const disk = new FaultyDisk();
      disks.set(name, disk);
      return disk.env;
    });
  });
  afterAll(async () => {
    await cluster.destroy();
  });

  const diskOf = ({ name }: Member): FaultyDisk => {
    const disk = disks.get(name);
    if (disk === undefined) throw new Error(`${name} has no disk`);
    return disk;
  };

  /** Milliseconds from the fault to the next put that another member acknowledges. */
  const untilNextPut = async (leader: Member, ...faults: DiskFault[]): Promise<number> => {
    const others = cluster.alive.filter((member) => member !== leader);
    diskOf(leader).set(...faults);
    const failedAt = performance.now();
    await eventually(
      'another member takes puts',
      async () => {
        const put = ['--command-timeout=1s', 'put', 'key', 'after'];
        return (await cluster.ctl(...others).run(put)).code === 0;
      },
      { timeoutMs: 30_000 },
    );
    const tookMs = performance.now() - failedAt;
    console.log(`${faults[0]?.error} on ${faults[0]?.path}: next put after ${Math.round(tookMs)} ms`);
    return tookMs;
  };

  const faults: [string, DiskFault, string][] = [
    [
      'writes of the log',
      { calls: ['write'], path: diskPaths.log, error: 'EIO' },
      'the log cannot be written',
    ],
    [
      'writes of the store',
      { calls: ['write'], path: diskPaths.store, error: 'EIO' },
      'the store cannot be written',
    ],
  ];

  it.each(faults)('%s: ends with a message, and the others go on', async (_name, fault, message) => {
    const leader = await cluster.leader();
    const lease = /lease (\S+) granted/.exec(await cluster.ctl().ok(['lease', 'grant', '3']))?.[1] ?? '';
    const quietAt = performance.now();
    await cluster.ctl().ok(['put', 'leased', 'value', `--lease=${lease}`]);
    const quietMs = performance.now() - quietAt;
    const { program } = leader;
    const tookMs = await untilNextPut(leader, fault);
    await eventually(`${leader.name} ends`, () => !program.alive);
    expect(program.exitCode).toBe(1);
    expect(program.tail()).toContain(message);
    // On a busy machine etcdctl alone takes long.
    expect(tookMs).toBeLessThan(MAX_UNAVAILABLE_MS + 10 * quietMs);
    await eventually('the lease expires', async () => (await cluster.ctl().ok(['get', 'leased'])) === '');
    diskOf(leader).heal();
    await leader.start();
    await cluster.settled();
    expect(await cluster.ctl(leader).ok(['get', 'key', '--print-value-only'])).toBe('after\n');
  });

  it('hands over leadership if only its store is full, and catches up when there is space', async () => {
    const leader = await cluster.leader();
    await untilNextPut(leader, { calls: ['write'], path: diskPaths.store, error: 'ENOSPC' });
    const others = cluster.members.filter((member) => member !== leader);
    await eventually('another one leads', async () => {
      return (await metricOf(leader, 'etcd_server_is_leader')) === 0;
    });
    expect(leader.program.alive).toBe(true);
    await cluster.ctl(...others).ok(['put', 'key', 'after']);
    diskOf(leader).heal();
    await cluster.settled();
    expect(await cluster.ctl(leader).ok(['get', 'key', '--print-value-only'])).toBe('after\n');
  });
});

describe.skipIf(missing !== undefined)(`a single member whose disk fails ${missing ?? ''}`.trimEnd(), () => {
  // The event loop itself writes the log of a lone writer.
  it('ends with a message and acknowledges nothing that was not written', async () => {
    const disk = new FaultyDisk();
    const member = await Member.start({ kind: 'keystead', env: disk.env });
    const client = new RpcClient(`127.0.0.1:${member.clientPort}`);
    const put = async (key: string): Promise<boolean> => {
      const request = PutRequest.create({ key: Buffer.from(key), value: Buffer.from('value') });
      return 'messages' in (await client.unary(KV.methods.put, request));
    };
    for (let n = 0; n < 200; n++) expect(await put(`before/${n}`)).toBe(true);
    disk.set({ calls: ['write'], path: diskPaths.log, error: 'EIO' });
    expect(await put('after').catch(() => false)).toBe(false);
    const { program } = member;
    await eventually('it ends', () => !program.alive);
    expect(program.exitCode).toBe(1);
    expect(program.tail()).toContain('the log cannot be written');
    client.close();
    disk.heal();
    await member.start();
    const keys = await new Etcdctl(`127.0.0.1:${member.clientPort}`).ok([
      'get',
      '--prefix',
      '',
      '--keys-only',
    ]);
    expect(keys.match(/before/g)).toHaveLength(200);
    await member.destroy();
  });
});
