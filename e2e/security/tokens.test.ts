import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import {
  AuthenticateRequest,
  LeaseGrantRequest,
  LeaseKeepAliveRequest,
  WatchCreateRequest,
  type WatchResponse,
} from '../../src/wire/gen/etcdserverpb.ts';
import { Auth, Lease, Watch } from '../../src/wire/services.ts';
import { TestCluster } from '../clusters/test-cluster.ts';
import type { MemberKind } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { eventually } from '../harness/wait.ts';
import { AuthServer, kinds, outcome } from './auth-server.ts';

const missing = missingPeers('etcd', 'etcdctl');
const INVALID = '16 etcdserver: invalid auth token';
const FAILED = '3 etcdserver: authentication failed, invalid user ID or password';
const DENIED = '7 etcdserver: permission denied';
const EMPTY = '3 etcdserver: user name is empty';

const running: { stop: () => Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
});

/** With alice, who may read and write "a". */
async function startWithAlice(kind: MemberKind, flags: readonly string[] = []): Promise<AuthServer> {
  const server = await AuthServer.start(kind, flags);
  running.push(server);
  await server.enable();
  await server.addRole('r');
  await server.grant('r', 'READWRITE', 'a');
  await server.addUser('alice', 'r');
  return server;
}

describe.skipIf(missing !== undefined)(`simple tokens ${missing ?? ''}`, () => {
  it('live as long as they are used, and no longer than that', async () => {
    const live = async (kind: MemberKind): Promise<void> => {
      const server = await startWithAlice(kind, ['--auth-token-ttl=3']);
      const [used, unused] = [await server.login('alice'), await server.login('alice')];
      const until = Date.now() + 6_500;
      while (Date.now() < until) {
        expect(await server.put('a', used), kind).toBe('ok');
        await sleep(300);
      }
      expect(await server.put('a', unused), kind).toBe(INVALID);
      await sleep(4_500);
      expect(await server.put('a', used), kind).toBe(INVALID);
      expect(await server.put('a', await server.login('alice')), kind).toBe('ok');
    };
    await Promise.all(kinds.map(live));
  });
});

describe.skipIf(missing !== undefined).each(kinds)(`simple tokens of %s ${missing ?? ''}`, (kind) => {
  const start = (): Promise<AuthServer> => startWithAlice(kind);

  it('end when auth is disabled, and do not come back with it', async () => {
    const server = await start();
    const [root, alice] = [server.root ?? '', await server.login('alice')];
    expect(await server.put('a', alice)).toBe('ok');
    await server.disable();
    // Nobody asks for a token now.
    expect(await server.put('a', alice)).toBe('ok');
    expect(await server.put('a', 'made.1')).toBe('ok');
    await server.must(Auth.methods.authEnable, {});
    expect(await server.put('a', alice)).toBe(INVALID);
    expect(await server.put('a', root)).toBe(INVALID);
    expect(await server.put('a', '')).toBe(EMPTY);
    expect(await server.put('a', await server.login('alice'))).toBe('ok');
  });

  it('end with the password, of that user alone', async () => {
    const server = await start();
    await server.addUser('bob', 'r');
    const tokens = [await server.login('alice'), await server.login('alice')];
    const bob = await server.login('bob');
    await server.changePassword('alice', 'another');
    for (const token of tokens) expect(await server.put('a', token)).toBe(INVALID);
    expect(await server.put('a', bob)).toBe('ok');
    const old = AuthenticateRequest.create({ name: 'alice', password: 'alice' });
    expect(outcome(await server.call(Auth.methods.authenticate, old, ''))).toBe(FAILED);
    expect(await server.put('a', await server.login('alice', 'another'))).toBe('ok');
    // The same password again is a change too.
    await server.changePassword('bob', 'bob');
    expect(await server.put('a', bob)).toBe(INVALID);
  });

  it('end with the user, also for a new one of that name', async () => {
    const server = await start();
    const alice = await server.login('alice');
    await server.deleteUser('alice');
    expect(await server.put('a', alice)).toBe(INVALID);
    await server.addUser('alice', 'r');
    expect(await server.put('a', alice)).toBe(INVALID);
    expect(await server.put('a', await server.login('alice'))).toBe('ok');
  });

  it('carry the rights of the moment, not those at the login', async () => {
    const server = await start();
    const alice = await server.login('alice');
    expect(await server.get('b', alice)).toBe(DENIED);
    await server.grant('r', 'READ', 'b');
    expect(await server.get('b', alice)).toBe('ok');
    expect(await server.put('b', alice)).toBe(DENIED);
    await server.revoke('r', 'b');
    await server.revoke('r', 'a');
    expect(await server.get('b', alice)).toBe(DENIED);
    expect(await server.put('a', alice)).toBe(DENIED);
    await server.must(Auth.methods.userGrantRole, { user: 'alice', role: 'root' });
    expect(await server.put('z', alice)).toBe('ok');
    await server.must(Auth.methods.userRevokeRole, { name: 'alice', role: 'root' });
    expect(await server.put('z', alice)).toBe(DENIED);
    await server.grant('r', 'READWRITE', 'a');
    await server.must(Auth.methods.roleDelete, { role: 'r' });
    expect(await server.put('a', alice)).toBe(DENIED);
  });

  it('hold a stream open, and no longer say who sends the next request on it', async () => {
    const server = await start();
    for (const id of [1n, 2n])
      await server.must(Lease.methods.leaseGrant, LeaseGrantRequest.create({ id, ttl: 60 }));
    const token = await server.login('alice');
    const watch = server.side.open(Watch.methods.watch, { token });
    const renewals = server.side.open(Lease.methods.leaseKeepAlive, { token });
    running.push({ stop: () => Promise.resolve([watch, renewals].forEach(({ close }) => close())) });
    const value = WatchCreateRequest.create({ key: Buffer.from('a') });
    const create = { requestUnion: { case: 'createRequest' as const, value } };
    watch.send(create);
    renewals.send(LeaseKeepAliveRequest.create({ id: 1n }));
    await eventually('both answer', () => watch.messages.length === 1 && renewals.messages.length === 1);
    await server.changePassword('alice', 'another');
    // As in etcd: what was allowed when it began goes on.
    expect(await server.put('a')).toBe('ok');
    await eventually('the event', () => watch.messages.length === 2);
    expect((watch.messages[1] as WatchResponse).events).toHaveLength(1);
    watch.send(create);
    await eventually('the refusal', () => watch.messages.length === 3);
    const refused = watch.messages[2] as WatchResponse;
    expect(refused).toMatchObject({ created: true, canceled: true, watchId: -1n });
    expect(refused.cancelReason).toContain('invalid auth token');
    renewals.send(LeaseKeepAliveRequest.create({ id: 2n }));
    await eventually('the end', () => renewals.ended === INVALID);
    expect(await server.put('a')).toBe('ok');
    await eventually('the next event', () => watch.messages.length === 4);
  });

  it('are none when they are made up, cut, or another’s', async () => {
    const server = await start();
    const alice = await server.login('alice');
    const [letters = '', index = ''] = alice.split('.');
    for (const token of [
      ...['x', '.', '..', '.1', `.${index}`, letters, `${letters}.`, `${letters}.-1`, `${letters}.x`],
      ...[
        `${letters}.${Number(index) - 1}`,
        `${letters}.0`,
        `${letters}.${index}.1`,
        `${letters}.${index}0x`,
      ],
      ...[
        letters.toUpperCase() + index,
        `${letters.slice(1)}.${index}`,
        `x${alice}`,
        'Bearer',
        `Bearer ${letters}`,
      ],
      ...[`${letters}.99999999999999999999999`, `${alice}\t`.trim() + '!', alice.toLowerCase() + '.'],
    ])
      expect(await server.put('a', token), token).toBe(INVALID);
    expect(await server.put('a', `Bearer ${alice}`)).toBe('ok');
  });

  it('are made for those alone who know a password', async () => {
    const server = await start();
    await server.addUserWithoutPassword('bare');
    await server.changePassword('alice', '');
    const login = async (name: string, password: string): Promise<string> => {
      const request = AuthenticateRequest.create({ name, password });
      return outcome(await server.call(Auth.methods.authenticate, request, ''));
    };
    const none = '2 auth: authentication failed, password was given for no password user';
    for (const password of ['', 'bare']) expect(await login('bare', password)).toBe(none);
    for (const [name, password] of [
      ...[
        ['alice', ''],
        ['alice', 'alice'],
        ['nobody', ''],
        ['', ''],
        ['root', ''],
        ['root', 'ROOT'],
      ],
      ...[
        ['root', 'root\0'],
        ['root', 'root '],
        ['Root', 'root'],
      ],
    ])
      expect(await login(name ?? '', password ?? ''), `${name ?? ''} ${password ?? ''}`).toBe(FAILED);
  });

  it('are the same to all members', async () => {
    const cluster = await TestCluster.create([kind, kind, kind], ['--bcrypt-cost=4']);
    running.push({ stop: () => cluster.destroy() });
    const servers = cluster.members.map((member) => new AuthServer(member));
    running.push(...servers.map(({ side }) => ({ stop: () => Promise.resolve(side.close()) })));
    const [first, second, third] = servers as [AuthServer, AuthServer, AuthServer];
    await first.enable();
    await first.addRole('r');
    await first.grant('r', 'READWRITE', 'a');
    await first.addUser('alice', 'r');
    for (let round = 0; round < 5; round++) {
      const alice = await first.login('alice');
      const use = (): Promise<string[]> => Promise.all([second.put('a', alice), third.get('a', alice)]);
      // Where the entry hasn't arrived, it is waited for; etcd at times looks a moment too early.
      if (kind === 'keystead') expect(await use()).toEqual(['ok', 'ok']);
      else await eventually('it is known', async () => isDeepStrictEqual(await use(), ['ok', 'ok']));
    }
    const [root, alice] = [first.root ?? '', await second.login('alice')];
    await eventually('the token is known', async () => (await third.put('a', alice)) === 'ok');
    await third.member.restart();
    expect(await second.put('a', alice)).toBe('ok');
    await first.changePassword('alice', 'another');
    for (const server of servers)
      await eventually('the token is not', async () => (await server.put('a', alice)) === INVALID);
    await first.disable();
    for (const server of servers)
      await eventually('auth is off', async () => (await server.put('a', '')) === 'ok');
    await first.must(Auth.methods.authEnable, {});
    for (const server of [first, second])
      await eventually('auth is on', async () => (await server.put('a', root)) === INVALID);
  });
});
