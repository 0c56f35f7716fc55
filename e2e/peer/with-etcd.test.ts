import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { PeerTls } from '../../src/peer/request.ts';
import { silentLogger } from '../../src/peer/testing/test-member.ts';
import { openPeerTls } from '../../src/tls/open-tls.ts';
import { Authority } from '../../src/tls/testing/authority.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';
import { type InitialMember, type MessageCounts, RaftMember } from './raft-member.ts';

const missing = missingPeers('etcd', 'etcdctl');

const running: { stop: () => Promise<void> }[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map(({ stop }) => stop()));
});

interface Mixed {
  readonly own: RaftMember;
  readonly etcds: readonly Member[];
  readonly ctl: Etcdctl;
}

/** A cluster from the start of real etcd members and one of ours, which is called `own`. */
async function found(
  etcdCount: number,
  flags: readonly string[] = [],
  secured?: { readonly tls: PeerTls; readonly flags: readonly string[] },
): Promise<Mixed> {
  const scheme = secured === undefined ? 'http' : 'https';
  const names = Array.from({ length: etcdCount }, (_, i) => `etcd${i}`);
  const initialMembers: InitialMember[] = [];
  for (const name of [...names, 'own']) initialMembers.push({ name, port: await freePort() });
  const initial = initialMembers.map(({ name, port }) => `${name}=${scheme}://127.0.0.1:${port}`).join(',');
  const own = new RaftMember(initialMembers, 'own', secured?.tls);
  running.push({ stop: () => own.disconnect() });
  await own.connect();
  const etcds = await Promise.all(
    initialMembers
      .filter(({ name }) => name !== 'own')
      .map(({ name, port }) =>
        Member.start({
          kind: 'etcd',
          name,
          peerPort: port,
          flags: [
            `--initial-cluster=${initial}`,
            `--listen-peer-urls=${scheme}://127.0.0.1:${port}`,
            `--initial-advertise-peer-urls=${scheme}://127.0.0.1:${port}`,
            ...(secured?.flags ?? []),
            ...flags,
          ],
        }),
      ),
  );
  for (const etcd of etcds) running.push({ stop: () => etcd.destroy() });
  const [first] = etcds;
  if (first === undefined) throw new Error('a mixed cluster has an etcd');
  return { own, etcds, ctl: new Etcdctl(first.endpoint) };
}

/** Puts until one succeeds: an election may be under way. */
async function put(ctl: Etcdctl, key: string, value: string): Promise<void> {
  await eventually(`a put of ${key}`, async () => {
    const { code } = await ctl.run(['put', key, value, '--command-timeout=3s']);
    return code === 0;
  });
}

function seen(counts: MessageCounts, ...types: readonly string[]): Promise<boolean> {
  return eventually(`all of ${types.join(', ')}`, () => types.every((type) => (counts[type] ?? 0) > 0));
}

async function makeLeader({ own }: Mixed, id: bigint): Promise<void> {
  await eventually('the leader moved', () => {
    if (own.node.lead === id) return true;
    if (own.node.lead !== 0n) {
      own.node.transferLeader(id);
      own.schedule();
    }
    return false;
  });
}

describe.skipIf(missing !== undefined)(`peers of real etcd ${missing ?? ''}`, () => {
  it('elect a leader of either kind and commit through it', async () => {
    const mixed = await found(1);
    const { own, ctl } = mixed;
    const etcdId = own.idOf('etcd0');
    await put(ctl, 'a', '1');
    expect(own.transport.activeSince(etcdId)).toBeDefined();

    await makeLeader(mixed, etcdId);
    await put(ctl, 'b', 'x'.repeat(100_000));
    await eventually('entries of etcd committed here', () => own.node.committed >= own.node.lastIndex);
    await seen(own.received, 'MsgApp', 'MsgHeartbeat');
    await seen(own.sent, 'MsgAppResp', 'MsgHeartbeatResp');

    await makeLeader(mixed, own.id);
    const before = own.node.committed;
    await put(ctl, 'c', 'y'.repeat(100_000));
    await put(ctl, 'd', '4');
    expect(own.node.committed).toBeGreaterThan(before);
    await seen(own.sent, 'MsgApp', 'MsgHeartbeat');
    await seen(own.received, 'MsgAppResp', 'MsgHeartbeatResp');
    expect(await ctl.ok(['get', 'c', '--print-value-only'])).toBe(`${'y'.repeat(100_000)}\n`);

    for (const line of ['opened stream to peer', 'opened stream from peer'])
      for (const kind of ['msgapp', 'message'])
        expect(own.log.filter((text) => text.includes(line) && text.includes(`"${kind}"`))).not.toEqual([]);
    expect(own.received['MsgProp'], 'proposals forwarded by etcd').toBeGreaterThan(0);
    expect((own.received['MsgPreVote'] ?? 0) + (own.received['MsgPreVoteResp'] ?? 0)).toBeGreaterThan(0);
    expect((own.sent['MsgPreVote'] ?? 0) + (own.sent['MsgPreVoteResp'] ?? 0)).toBeGreaterThan(0);
  });

  it('notice at once that a member was killed, and have it back', async () => {
    const mixed = await found(1);
    const { own, etcds, ctl } = mixed;
    const etcdId = own.idOf('etcd0');
    await put(ctl, 'a', '1');
    const [etcd] = etcds;
    const killedAt = performance.now();
    const killed = etcd?.kill();
    await eventually('that it is gone noticed', () => own.gone.includes(etcdId), { everyMs: 1 });
    expect(performance.now() - killedAt).toBeLessThan(500);
    await killed;
    await etcd?.start();
    await put(ctl, 'b', '2');
    expect(own.transport.activeSince(etcdId)).toBeDefined();
  });

  it('catch up by a snapshot of etcd', async () => {
    const mixed = await found(2, ['--snapshot-count=10', '--snapshot-catchup-entries=5']);
    const { own, ctl } = mixed;
    await put(ctl, 'a', '1');
    await makeLeader(mixed, own.idOf('etcd0'));
    await own.disconnect();
    for (let i = 0; i < 40; i += 1) await put(ctl, `key${i}`, 'v'.repeat(1000));
    await own.connect();
    await eventually('a snapshot', () => own.snapshots.length > 0);
    const [snapshot] = own.snapshots;
    // A bolt file: a page header, then its magic number.
    expect(snapshot?.bytes.readUInt32LE(16)).toBe(0xed0cdaed);
    expect((snapshot?.bytes.length ?? 1) % 4096).toBe(0);
    const index = snapshot?.message.snapshot?.metadata?.index ?? 0;
    expect(index).toBeGreaterThan(0);
    await put(ctl, 'z', '1');
    await eventually('entries after the snapshot', () => own.node.committed > index);
  });

  it('bring etcd up to date by a snapshot', async () => {
    const mixed = await found(2);
    const { own, etcds, ctl } = mixed;
    await put(ctl, 'a', '1');
    await makeLeader(mixed, own.id);
    const [running, behind] = etcds;
    await behind?.kill();
    for (let i = 0; i < 20; i += 1) await put(ctl, `key${i}`, 'v'.repeat(1000));

    // Nothing is written meanwhile, so that the saved database is as of the last entry.
    const file = join(tempDir('snapshot'), 'db');
    await ctl.ok(['snapshot', 'save', file]);
    const saved = readFileSync(file);
    const CHECKSUM_BYTES = 32;
    own.database = saved.subarray(0, saved.length - CHECKSUM_BYTES);
    const index = own.node.committed;
    own.storage.createSnapshot(index, own.node.confState(), undefined);
    own.storage.compact(index);

    await behind?.start();
    await eventually('the snapshot sent', () => own.snapshotReports.some(([, ok]) => ok));
    const text = await eventually('the key read from the member that was behind', async () => {
      const { code, stdout } = await new Etcdctl(behind?.endpoint ?? '').run([
        'get',
        'key19',
        '--print-value-only',
        '--consistency=s',
      ]);
      return code === 0 && stdout.length > 1 ? stdout : undefined;
    });
    expect(text).toBe(`${'v'.repeat(1000)}\n`);
    await put(ctl, 'after', '1');
    const hashes = await eventually('the same state on both', async () => {
      const found = await Promise.all(
        [running, behind].map((each) =>
          new Etcdctl(each?.endpoint ?? '').ok(['endpoint', 'hashkv', '-w=fields']),
        ),
      );
      const [first, second] = found.map((each) => /"Hash" : (\d+)/.exec(each)?.[1]);
      return first !== undefined && first === second ? [first, second] : undefined;
    });
    expect(hashes).toHaveLength(2);
  });

  it('are told that they have been removed', async () => {
    const { own, etcds, ctl } = await found(1, ['--strict-reconfig-check=false']);
    await put(ctl, 'a', '1');
    expect(own.removed).toBe(false);
    await ctl.ok(['member', 'remove', own.id.toString(16)]);
    await eventually('the removal noticed', () => own.removed);
    await own.disconnect();
    expect(etcds).toHaveLength(1);
    await put(ctl, 'b', '2');
  });

  it('speak TLS with certificates on both sides', async () => {
    const folder = tempDir('certificates');
    const authority = new Authority();
    const issued = authority.issue({ hosts: ['127.0.0.1'] });
    const files = {
      ca: join(folder, 'ca.pem'),
      cert: join(folder, 'cert.pem'),
      key: join(folder, 'key.pem'),
    };
    writeFileSync(files.ca, authority.certificate);
    writeFileSync(files.cert, issued.certificate);
    writeFileSync(files.key, issued.key.export({ type: 'pkcs8', format: 'pem' }));
    const flags = [
      `--peer-cert-file=${files.cert}`,
      `--peer-key-file=${files.key}`,
      `--peer-trusted-ca-file=${files.ca}`,
      '--peer-client-cert-auth',
    ];
    const loaded = await loadConfig({ args: [], environment: {} });
    if (loaded.kind !== 'ready') throw new Error('the defaults are valid');
    const config = {
      ...loaded.config,
      peerTls: {
        ...loaded.config.peerTls,
        certFile: files.cert,
        keyFile: files.key,
        trustedCaFile: files.ca,
        clientCertAuth: true,
      },
    };
    const tls = await openPeerTls({ config, logger: silentLogger });
    if (tls === undefined) throw new Error('there are certificates');
    const mixed = await found(1, [], { tls, flags });
    const { own, ctl } = mixed;
    await put(ctl, 'a', '1');
    for (const id of [own.idOf('etcd0'), own.id]) {
      await makeLeader(mixed, id);
      await put(ctl, 'b', 'x'.repeat(50_000));
    }
    await seen(own.sent, 'MsgApp', 'MsgAppResp');
  });
});
