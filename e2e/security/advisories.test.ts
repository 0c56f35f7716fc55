import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FrameType } from '../../src/http2/constants.ts';
import { RawClient } from '../../src/http2/raw-client.ts';
import {
  AlarmRequest,
  AuthenticateRequest,
  AuthUserAddRequest,
  CompactionRequest,
  DeleteRangeRequest,
  LeaseGrantRequest,
  LeaseKeepAliveRequest,
  LeaseLeasesRequest,
  LeaseRevokeRequest,
  LeaseTimeToLiveRequest,
  MemberListRequest,
  PutRequest,
  RangeRequest,
  type RequestOp,
  TxnRequest,
  WatchCreateRequest,
  type WatchResponse,
} from '../../src/wire/gen/etcdserverpb.ts';
import { Auth, Cluster, KV, Lease, Maintenance, Watch } from '../../src/wire/services.ts';
import { runCommand } from '../harness/command.ts';
import type { MemberKind } from '../harness/member.ts';
import { keysteadBundle, missingPeers, requirePeer } from '../harness/paths.ts';
import { tempDir } from '../harness/temp-dir.ts';
import { AuthServer, kinds, outcome } from './auth-server.ts';

/*
 * The security advisories of etcd since 3.4 about authentication and authorization, each by its number. All are fixed in
 * etcd 3.7.1, which runs the same tests. Those about TLS and the gateways are in advisories-tls.test.ts.
 */

const missing = missingPeers('etcd');
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const DENIED = '7 etcdserver: permission denied';
const EMPTY = '3 etcdserver: user name is empty';

const range = (key: string, rangeEnd = ''): RequestOp => ({
  request: {
    case: 'requestRange',
    value: RangeRequest.create({ key: bytes(key), rangeEnd: bytes(rangeEnd) }),
  },
});
const put = (key: string, over: Partial<PutRequest> = {}): RequestOp => ({
  request: { case: 'requestPut', value: PutRequest.create({ key: bytes(key), ...over }) },
});
const del = (key: string, over: Partial<DeleteRangeRequest> = {}): RequestOp => ({
  request: { case: 'requestDeleteRange', value: DeleteRangeRequest.create({ key: bytes(key), ...over }) },
});
const nested = (value: Partial<TxnRequest>): RequestOp => ({
  request: { case: 'requestTxn', value: TxnRequest.create(value) },
});

describe.skipIf(missing !== undefined).each(kinds)(`advisories, on %s ${missing ?? ''}`, (kind) => {
  let server: AuthServer;
  let alice: string;

  // Alice may read "a", write "w", and both "x"; "secret" and lease 7 are root's.
  beforeAll(async () => {
    server = await AuthServer.start(kind);
    await server.addRole('r');
    await server.grant('r', 'READ', 'a');
    await server.grant('r', 'WRITE', 'w');
    await server.grant('r', 'READWRITE', 'x');
    await server.addUser('alice', 'r');
    await server.enable();
    alice = await server.login('alice');
    for (const id of [7n, 8n])
      await server.must(Lease.methods.leaseGrant, LeaseGrantRequest.create({ id, ttl: 3600 }));
    expect(await server.put('secret', undefined, { lease: 7n })).toBe('ok');
    expect(await server.put('a', undefined, { lease: 8n })).toBe('ok');
    expect(await server.put('w')).toBe('ok');
  });
  afterAll(() => server.stop());

  const txn = async (request: Partial<TxnRequest>): Promise<string> =>
    outcome(await server.call(KV.methods.txn, TxnRequest.create(request), alice));

  it('CVE-2026-33343 (GHSA-rfx7-8w68-q57q): transactions in transactions are checked too', async () => {
    const forbidden: RequestOp[] = [
      ...[range('secret'), range('a', 'z'), put('a'), del('secret')],
      ...[range('\0', '\0'), range('a', '\0')],
    ];
    for (const operation of forbidden) {
      expect(await txn({ success: [operation] })).toBe(DENIED);
      expect(await txn({ success: [nested({ success: [operation] })] })).toBe(DENIED);
      // It does not matter whether it would be executed.
      expect(await txn({ failure: [nested({ failure: [operation] })] })).toBe(DENIED);
      const deep = nested({ success: [range('a'), nested({ failure: [nested({ success: [operation] })] })] });
      expect(await txn({ success: [deep] })).toBe(DENIED);
    }
    const peek = { key: bytes('secret'), target: 0, targetUnion: { case: 'version', value: 1 } } as const;
    const compare = [{ ...peek, result: 0, rangeEnd: bytes('') } as const];
    expect(await txn({ compare })).toBe(DENIED);
    expect(await txn({ success: [nested({ success: [nested({ compare })] })] })).toBe(DENIED);
    expect(await txn({ success: [nested({ success: [range('a'), put('x')] })] })).toBe('ok');
  });

  it('CVE-2026-44283 (GHSA-x35m-3gp4-4fh5): previous values and leases of puts in transactions', async () => {
    for (const wrap of [
      (operation: RequestOp) => ({ success: [operation] }),
      (operation: RequestOp) => ({ failure: [operation] }),
      (operation: RequestOp) => ({ success: [nested({ failure: [operation] })] }),
    ]) {
      expect(await txn(wrap(put('w')))).toBe('ok');
      expect(await txn(wrap(put('w', { prevKv: true })))).toBe(DENIED);
      expect(await txn(wrap(del('w', { prevKv: true })))).toBe(DENIED);
      expect(await txn(wrap(put('x', { prevKv: true })))).toBe('ok');
      // With the lease its other keys could be deleted.
      expect(await txn(wrap(put('x', { lease: 7n })))).toBe(DENIED);
      expect(await txn(wrap(put('x', { lease: 8n })))).toBe(DENIED);
    }
    expect(await server.put('w', alice, { prevKv: true })).toBe(DENIED);
    expect(await server.put('x', alice, { lease: 7n })).toBe(DENIED);
  });

  it('CVE-2026-73499 (GHSA-xg4h-6gfc-h4m8): a watch with an open end needs all it covers', async () => {
    const watch = async (key: string, rangeEnd: string, token = alice): Promise<string> => {
      const value = WatchCreateRequest.create({ key: bytes(key), rangeEnd: bytes(rangeEnd) });
      const request = { requestUnion: { case: 'createRequest' as const, value } };
      const answer = await server.call(Watch.methods.watch, request, token, true);
      if ('code' in answer) return outcome(answer);
      const { created, canceled, cancelReason, watchId } = answer.messages[0] as WatchResponse;
      expect(created).toBe(true);
      expect(watchId).toBe(canceled ? -1n : 0n);
      return canceled ? cancelReason : 'ok';
    };
    expect(await watch('a', '')).toBe('ok');
    expect(await watch('a', 'a\0')).toBe('ok');
    for (const [key, end] of [
      ...[
        ['a', '\0'],
        ['a', 'b'],
        ['a', '\xff'],
        ['', ''],
        ['', '\0'],
        ['\0', '\0'],
        ['x', '\0'],
      ],
      ...[
        ['secret', ''],
        ['w', ''],
      ],
    ])
      expect(await watch(key ?? '', end ?? ''), `${key ?? ''} ${end ?? ''}`).toBe(
        'rpc error: code = PermissionDenied desc = etcdserver: permission denied',
      );
    expect(await watch('a', '', '')).toBe(
      'rpc error: code = InvalidArgument desc = etcdserver: user name is empty',
    );
    expect(await watch('a', '', 'made.1')).toBe(
      'rpc error: code = Unauthenticated desc = etcdserver: invalid auth token',
    );
    expect(await watch('\0', '\0', server.root)).toBe('ok');
  });

  it('CVE-2026-33413 (GHSA-q8m4-xhhv-38mg): members, alarms, leases and compaction need a user', async () => {
    const activate = AlarmRequest.create({ action: 1, memberId: 9n, alarm: 1 });
    const calls: [unknown, unknown, string, boolean?][] = [
      [Cluster.methods.memberList, MemberListRequest.create(), 'ok'],
      [Cluster.methods.memberList, MemberListRequest.create({ linearizable: true }), 'ok'],
      [Maintenance.methods.alarm, AlarmRequest.create(), 'ok'],
      [Maintenance.methods.alarm, activate, DENIED],
      [Maintenance.methods.alarm, AlarmRequest.create({ ...activate, action: 2 }), DENIED],
      [KV.methods.compact, CompactionRequest.create({ revision: 1 }), DENIED],
      [Lease.methods.leaseGrant, LeaseGrantRequest.create({ id: 99n, ttl: 60 }), 'ok'],
      [Lease.methods.leaseKeepAlive, LeaseKeepAliveRequest.create({ id: 99n }), 'ok', true],
      [Lease.methods.leaseTimeToLive, LeaseTimeToLiveRequest.create({ id: 99n }), 'ok'],
      [Lease.methods.leaseRevoke, LeaseRevokeRequest.create({ id: 99n }), 'ok'],
      [Lease.methods.leaseKeepAlive, LeaseKeepAliveRequest.create({ id: 7n }), DENIED, true],
      [Lease.methods.leaseRevoke, LeaseRevokeRequest.create({ id: 7n }), DENIED],
      [Lease.methods.leaseLeases, LeaseLeasesRequest.create(), DENIED],
    ];
    for (const [method, request, expected, onlyFirst] of calls) {
      const by = async (token: string): Promise<string> =>
        outcome(await server.call(method as typeof KV.methods.put, request as PutRequest, token, onlyFirst));
      const { path } = method as { path: string };
      expect(await by(''), path).toBe(EMPTY);
      expect(await by(alice), path).toBe(expected);
    }
  });

  it('CVE-2023-32082 (GHSA-3p4g-rcw5-8298): keys of a lease are shown only to users who may read them', async () => {
    const ask = async (id: bigint, keys: boolean, token: string): Promise<string> => {
      const request = LeaseTimeToLiveRequest.create({ id, keys });
      return outcome(await server.call(Lease.methods.leaseTimeToLive, request, token));
    };
    expect(await ask(7n, true, alice)).toBe(DENIED);
    expect(await ask(7n, false, alice)).toBe('ok');
    expect(await ask(8n, true, alice)).toBe('ok');
    expect(await ask(12_345n, true, alice)).toBe('ok');
    expect(await ask(7n, false, '')).toBe(EMPTY);
    expect(await ask(7n, true, server.root ?? '')).toBe('ok');
  });

  it('CVE-2020-15115 (GHSA-4993-m7g5-r9hh): passwords have no minimum length, as in etcd, and at most 72 bytes', async () => {
    const add = async (password: string): Promise<string> => {
      const name = `user-${password.length}`;
      return outcome(await server.call(Auth.methods.userAdd, AuthUserAddRequest.create({ name, password })));
    };
    expect(await add('')).toBe('ok');
    expect(await add('1')).toBe('ok');
    expect(await add('x'.repeat(72))).toBe('ok');
    expect(await add('x'.repeat(73))).toBe('2 bcrypt: password length exceeds 72 bytes');
    const login = AuthenticateRequest.create({ name: 'user-1', password: '' });
    expect(outcome(await server.call(Auth.methods.authenticate, login, ''))).toMatch(
      /^3 .*authentication failed/,
    );
  });

  it('GHSA-vjg6-93fv-qv64: a login of a user without a password is logged as a failure', async () => {
    await server.addUserWithoutPassword('bare');
    const login = AuthenticateRequest.create({ name: 'bare', password: 'guessed-it' });
    expect(outcome(await server.call(Auth.methods.authenticate, login, ''))).toBe(
      '2 auth: authentication failed, password was given for no password user',
    );
    await server.member.program.sees('invalid authentication was requested');
    expect(server.member.program.lines.join('\n')).not.toContain('guessed-it');
  });

  it('CVE-2026-33186: a path without a leading slash is not a method', async () => {
    const client = await RawClient.open({ port: server.member.clientPort, host: '127.0.0.1' });
    const request = RangeRequest.encode(RangeRequest.create({ key: bytes('secret') }));
    for (const [at, path] of ['etcdserverpb.KV/Range', 'KV/Range', '//etcdserverpb.KV/Range', ''].entries()) {
      const streamId = 2 * at + 1;
      client.request(streamId, path, [['token', server.root ?? '']]);
      client.message(streamId, request);
      await client.until(
        () =>
          client.closed ||
          client.of(FrameType.RST_STREAM, streamId).length > 0 ||
          (client.headers(streamId)['grpc-status'] ?? client.headers(streamId)[':status']) !== undefined,
      );
      expect(client.headers(streamId)['grpc-status']).not.toBe('0');
      expect(client.data(streamId).toString('latin1')).not.toContain('secret');
    }
    client.socket.destroy();
  });
});

describe.skipIf(missing !== undefined).each(kinds)(`advisories about files and logs, on %s`, (kind) => {
  const running: AuthServer[] = [];
  afterEach(async () => {
    for (const server of running.splice(0)) await server.stop();
  });

  const filesBelow = (folder: string): string[] =>
    readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) =>
      join(entry.parentPath, entry.name),
    );

  it('CVE-2021-28235, GHSA-528j-9r78-wffx: no password is in the log, behind /debug, or on the disk', async () => {
    const server = await AuthServer.start(kind, ['--log-level=debug', '--enable-pprof']);
    running.push(server);
    const passwords = ['first-Pa55word', 'second-Pa55word', 'wrong-Pa55word'] as const;
    await server.must(
      Auth.methods.userAdd,
      AuthUserAddRequest.create({ name: 'alice', password: passwords[0] }),
    );
    await server.enable();
    await server.login('alice', passwords[0]);
    await server.changePassword('alice', passwords[1]);
    const token = await server.login('alice', passwords[1]);
    const wrong = AuthenticateRequest.create({ name: 'alice', password: passwords[2] });
    expect(outcome(await server.call(Auth.methods.authenticate, wrong, ''))).toMatch(/^3 /);
    const paths = [
      'requests',
      'events',
      'vars',
      'pprof/',
      'pprof/goroutine?debug=2',
      'pprof/heap?debug=1&seconds=1',
    ];
    const pages = [...paths.map((path) => `debug/${path}`), 'metrics', 'health', 'version'];
    const shown: string[] = [];
    for (const page of pages) shown.push(await (await fetch(`${server.member.clientUrl}/${page}`)).text());
    shown.push(...server.member.program.lines);
    await server.member.stop();
    const everything = [...shown, ...filesBelow(server.member.dataDir).filter(isFile).map(readText)].join(
      '\n',
    );
    for (const password of passwords) expect(everything.includes(password), password).toBe(false);
    // A valid token is as sensitive as a password.
    expect(shown.join('\n').includes(token)).toBe(false);
  });

  it('CVE-2020-15113 (GHSA-chh6-ppwq-jh92): other users cannot read the data directory', async () => {
    const dataDir = join(tempDir('private'), 'new');
    const server = await AuthServer.start(kind, [`--data-dir=${dataDir}`]);
    running.push(server);
    await server.put('a');
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    for (const path of filesBelow(dataDir)) {
      // Other users cannot enter the directories, so the modes of files are an additional protection.
      if (!isFile(path)) expect(statSync(path).mode & 0o077, path).toBe(0);
      else if (kind === 'keystead') expect(statSync(path).mode & 0o022, path).toBe(0);
    }
  });

  it('GHSA-pm3m-32r3-7mfh: the start fails with a negative retention', async () => {
    const result = await start(kind, ['--auto-compaction-retention=-1', `--data-dir=${tempDir('negative')}`]);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain('error parsing CompactionRetention');
  });
});

it('GHSA-pm3m-32r3-7mfh: a negative duration compacts nothing', async () => {
  const server = await AuthServer.start('keystead', ['--auto-compaction-retention=-1h']);
  try {
    for (let at = 0; at < 50; at++) await server.put('a');
    const request = RangeRequest.create({ key: bytes('a'), revision: 2 });
    expect(outcome(await server.call(KV.methods.range, request))).toBe('ok');
    expect(server.member.program.lines.join('\n')).not.toContain('starting auto');
  } finally {
    await server.stop();
  }
});

describe('advisories about damaged logs', () => {
  it('CVE-2020-15106, CVE-2020-15112 (GHSA-p4g4-wgrh-qrg2, GHSA-m332-53r6-2w93): the error contains the position', async () => {
    const server = await AuthServer.start('keystead');
    for (let at = 0; at < 20; at++) await server.put(`key ${at}`);
    await server.member.stop();
    server.side.close();
    const { dataDir } = server.member;
    const folder = join(dataDir, 'member/wal');
    const [first = ''] = readdirSync(folder).toSorted();
    const sound = readFileSync(join(folder, first));
    // A length of nearly everything, a huge one, and an index out of order, in the middle of what was written.
    const middle = sound.indexOf('key 9');
    expect(middle).toBeGreaterThan(0);
    for (const back of [8, 24, 40, 64]) {
      const damaged = Buffer.from(sound);
      damaged.fill(0xff, middle - back, middle - back + 8);
      writeFileSync(join(folder, first), damaged);
      const result = await start('keystead', [
        ...[`--data-dir=${dataDir}`, `--name=${server.member.name}`],
        ...['--listen-client-urls=http://127.0.0.1:0', '--advertise-client-urls=http://127.0.0.1:1'],
        '--listen-peer-urls=http://127.0.0.1:0',
      ]);
      const said = result.stdout + result.stderr;
      expect(result.code, said.slice(-600)).toBe(1);
      expect(said).toContain('write-ahead log is corrupt');
      expect(said).toContain(first);
      expect(said).not.toMatch(/RangeError|TypeError|heap out of memory/);
    }
    mkdirSync(folder, { recursive: true });
    await server.stop();
  });
});

function isFile(path: string): boolean {
  return statSync(path).isFile();
}

function readText(path: string): string {
  return readFileSync(path, 'latin1');
}

function start(kind: MemberKind, flags: readonly string[]): ReturnType<typeof runCommand> {
  return kind === 'etcd'
    ? runCommand(requirePeer('etcd'), flags, { timeoutMs: 20_000 })
    : runCommand(process.execPath, [keysteadBundle(), ...flags], { timeoutMs: 20_000 });
}
