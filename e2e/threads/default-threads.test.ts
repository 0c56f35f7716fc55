import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { diskFaultsMissing } from '../harness/disk-faults.ts';
import { Member, serverUnderTest, type MemberOptions } from '../harness/member.ts';
import { metricsOf } from '../harness/metrics.ts';
import { eventually } from '../harness/wait.ts';
import { CpuQuotaGroup } from './cpu-quota-group.ts';
import { ProcessorCount } from './processor-count.ts';
import { membersCanSharePorts } from './thread-count.ts';

const AUTO = '--keystead-serving-threads=auto';
const isLinux = process.platform === 'linux';
/** Disk faults are preloaded, too, so they need the same. */
const cannotPretend = diskFaultsMissing === undefined ? '' : ` (${diskFaultsMissing})`;

describe.skipIf(serverUnderTest === 'etcd' || !isLinux)('the default number of serving threads', () => {
  const cleanups: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  async function start(options: Omit<MemberOptions, 'kind'>): Promise<Member> {
    const member = await Member.start({ kind: 'keystead', ...options });
    cleanups.push(() => member.destroy());
    return member;
  }

  /** The environment of a server that finds so many processors. */
  function processors(count: number): NodeJS.ProcessEnv {
    const pretended = new ProcessorCount();
    cleanups.push(() => pretended.remove());
    return pretended.of(count);
  }

  const serves = async (member: Member): Promise<void> =>
    expect(await metricsOf(member)).toContain('etcd_server_has_leader 1');

  it('is none on one processor', async () => {
    const member = await start({ flags: [AUTO], prefix: ['taskset', '-c', '0'] });
    expect(chosen(member)).toMatchObject({
      'serving-threads': 0,
      processors: 1,
      reason: 'fewer than four cores',
    });
    expect(listeners(member.clientPort)).toBe(1);
    await serves(member);
  });

  it.skipIf(diskFaultsMissing !== undefined)(
    `is four on eight processors, if this Node.js can share a port, and all listen${cannotPretend}`,
    async () => {
      const threads = membersCanSharePorts ? 4 : 0;
      const member = await start({ flags: [AUTO], env: processors(8) });
      expect(chosen(member)).toMatchObject({ 'serving-threads': threads, processors: 8 });
      // The first threads serve while others still start.
      await eventually('listeners', () => listeners(member.clientPort) === Math.max(1, threads));
      await serves(member);
    },
  );

  it.skipIf(diskFaultsMissing !== undefined)(
    `gives way to the number that is given${cannotPretend}`,
    async () => {
      const member = await start({ flags: ['--keystead-serving-threads=0'], env: processors(8) });
      expect(member.program.lines.join('\n')).not.toContain('chose the number of serving threads');
      expect(listeners(member.clientPort)).toBe(1);
    },
  );

  it.skipIf(diskFaultsMissing !== undefined)(
    `follows the quota of the cgroup${cannotPretend}`,
    async (context) => {
      const group = CpuQuotaGroup.make(4);
      if (group === undefined) return context.skip('no cgroup with a quota can be made here');
      cleanups.push(() => group.remove());
      const member = await start({ flags: [AUTO], env: processors(8), prefix: group.prefix });
      const threads = membersCanSharePorts ? 2 : 0;
      expect(chosen(member)).toMatchObject({ 'serving-threads': threads, 'cpu-quota': 4 });
      await serves(member);
    },
  );
});

/** What the log says about the choice. */
function chosen(member: Member): unknown {
  const line = member.program.lines.find((each) => each.includes('chose the number of serving threads'));
  return JSON.parse(line ?? 'null');
}

/** The number of sockets that listen on a port. */
function listeners(port: number): number {
  const address = `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .filter((line) => line.includes(`${address}00000000:0000 0A`)).length;
}
