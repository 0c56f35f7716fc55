import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member, type MemberKind } from '../harness/member.ts';
import { keysteadBundle, missingPeers, requirePeer } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { Program } from '../harness/program.ts';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';

const missing = missingPeers('etcd', 'etcdctl');

/** Returns the exit code of a failed start and the error of its last line. */
async function failure(kind: MemberKind, flags: readonly string[]): Promise<{ code: number; error: string }> {
  const directory = tempDir('refused');
  const clientUrl = `http://127.0.0.1:${await freePort()}`;
  const args = [
    ...[`--data-dir=${directory}`, `--listen-client-urls=${clientUrl}`],
    ...[`--advertise-client-urls=${clientUrl}`, ...flags],
  ];
  const program =
    kind === 'etcd'
      ? new Program(kind, requirePeer('etcd'), args)
      : new Program(kind, process.execPath, [keysteadBundle(), ...args]);
  await eventually(`the end of ${kind}`, () => !program.alive, { timeoutMs: 50_000 });
  removeTempDir(directory);
  const fatal = program.lines.find((line) => line.includes('"level":"fatal"')) ?? program.tail();
  const { error } = JSON.parse(fatal) as { error: string };
  return { code: program.exitCode ?? -1, error };
}

describe.skipIf(missing !== undefined)(`members that cannot start end as etcd does ${missing ?? ''}`, () => {
  let running: Member;
  let peerPort: number;
  const url = (port: number): string => `http://127.0.0.1:${port}`;
  beforeAll(async () => {
    running = await Member.start({ kind: 'etcd', name: 'running', flags: ['--max-learners=2'] });
    peerPort = await freePort();
  });
  afterAll(() => running.destroy());

  const address = (port = peerPort): string[] => [
    `--listen-peer-urls=${url(port)}`,
    `--initial-advertise-peer-urls=${url(port)}`,
  ];
  const cluster = (text: string, state = 'existing'): string[] => [
    `--initial-cluster=${text}`,
    `--initial-cluster-state=${state}`,
  ];
  const there = (): string => `running=${url(running.peerPort)}`;
  const late = (): string => `late=${url(peerPort)}`;
  const expectSame = async (flags: readonly string[], part: string): Promise<void> => {
    const theirs = await failure('etcd', ['--name=late', ...flags]);
    expect(theirs.error).toContain(part);
    expect(await failure('keystead', ['--name=late', ...flags])).toEqual(theirs);
  };

  it('without its own name among the members', () =>
    expectSame([...address(), ...cluster(there())], `couldn't find local name "late"`));

  it('with other URLs than it advertises', async () => {
    await expectSame(
      [...address(), ...cluster(`late=${url(1)}`, 'new')],
      `missing from --initial-advertise-peer-urls=${url(peerPort)} (resolved urls: `,
    );
    await expectSame(
      [...address(), ...cluster(`${late()},late=${url(1)}`, 'new')],
      'missing from --initial-advertise-peer-urls',
    );
    await expectSame(
      [...address(), `--initial-advertise-peer-urls=${url(peerPort)},${url(1)}`, ...cluster(late(), 'new')],
      'missing from --initial-cluster',
    );
  });

  it('with one URL for two members', () =>
    expectSame([...address(), ...cluster(`${late()},other=${url(peerPort)}`, 'new')], 'has duplicate url'));

  it('with a discovery service for a cluster that exists', () =>
    expectSame(
      [
        ...[...address(), '--initial-cluster-state=existing'],
        ...['--discovery-endpoints=http://127.0.0.1:1', '--discovery-token=x'],
      ],
      'discovery URL should not be set',
    ));

  it('without a response from the other members', () =>
    expectSame(
      [...address(), ...cluster(`${late()},gone=${url(1)}`)],
      'could not retrieve cluster information',
    ));

  it('that were not added, or with other URLs', async () => {
    await expectSame([...address(), ...cluster(`${there()},${late()}`)], 'member count is unequal');
    const ctl = new Etcdctl(running.endpoint);
    await ctl.ok(['member', 'add', 'l1', `--peer-urls=${url(peerPort)}`, '--learner']);
    const other = await freePort();
    // The order of the members in etcd's text is random.
    const flags = ['--name=late', ...address(other), ...cluster(`${there()},late=${url(other)}`)];
    for (const kind of ['etcd', 'keystead'] as const) {
      const { code, error } = await failure(kind, flags);
      expect(code).toBe(1);
      expect(error).toMatch(
        /^error validating peerURLs \{ClusterID:[0-9a-f]+ Members:\[&\{ID:[0-9a-f]+ Raft/,
      );
      expect(error).toMatch(
        /: PeerURLs: no match found for existing member \([0-9a-f]+, \[http:[^\]]+\]\), last resolver error \(resolved urls: "http:/,
      );
    }
    await ctl.ok(['member', 'add', 'l2', `--peer-urls=${url(1)}`, '--learner']);
    await expectSame(
      [...address(), ...cluster(`${there()},${late()},l2=${url(1)}`)],
      'membership: too many learner members in cluster',
    );
  });

  it('that were members before and lost their data', async () => {
    const places = [await freePort(), await freePort()];
    const initial = `a=${url(places[0] ?? 0)},late=${url(places[1] ?? 0)}`;
    const members = await Promise.all(
      ['a', 'late'].map((name, at) =>
        Member.start({
          kind: 'etcd',
          name,
          peerPort: places[at] ?? 0,
          readyTimeoutMs: 60_000,
          flags: [`--initial-cluster=${initial}`],
        }),
      ),
    );
    try {
      await members[1]?.kill();
      await expectSame([...address(places[1]), ...cluster(initial, 'new')], 'has already been bootstrapped');
    } finally {
      await Promise.all(members.map((member) => member.destroy()));
    }
  });
});
