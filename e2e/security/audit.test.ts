import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Member } from '../harness/member.ts';
import { metricsOf } from '../harness/metrics.ts';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';

const PASSWORD = 'p4ssw0rd-of-root';
const VALUE = 'a-value-that-is-nobodys-business';
const base64 = (text: string): string => Buffer.from(text).toString('base64');

type Line = Readonly<Record<string, unknown>>;

interface Session {
  readonly member: Member;
  readonly path: string;
}

async function ask(
  { member }: Session,
  path: string,
  body: object,
  token?: string,
): Promise<Record<string, unknown>> {
  const response = await fetch(`${member.clientUrl}${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: token === undefined ? {} : { authorization: token },
  });
  return (await response.json()) as Record<string, unknown>;
}

async function login(session: Session, name: string, password: string): Promise<string> {
  const { token } = await ask(session, '/v3/auth/authenticate', { name, password });
  return String(token);
}

function lines({ path }: Session): Line[] {
  const text = readFileSync(path, 'utf8').trimEnd();
  return text === '' ? [] : text.split('\n').map((line) => JSON.parse(line) as Line);
}

describe('the audit log', () => {
  const folder = tempDir('audit');
  const sessions: Session[] = [];

  async function start(level: string): Promise<Session> {
    const path = join(folder, `${level}.log`);
    const flags = ['--bcrypt-cost=4', `--audit-log-path=${path}`, `--audit-log-level=${level}`];
    const session = { member: await Member.start({ kind: 'keystead', flags }), path };
    sessions.push(session);
    return session;
  }

  afterAll(async () => {
    for (const { member } of sessions) await member.destroy();
    removeTempDir(folder);
  });

  /** Users, a login, puts and reads by both of them. */
  async function work(session: Session): Promise<void> {
    await ask(session, '/v3/auth/user/add', { name: 'root', password: PASSWORD });
    await ask(session, '/v3/auth/user/grant', { user: 'root', role: 'root' });
    await ask(session, '/v3/auth/user/add', { name: 'reader', password: PASSWORD });
    await ask(session, '/v3/auth/enable', {});
    const root = await login(session, 'root', PASSWORD);
    const reader = await login(session, 'reader', PASSWORD);
    await login(session, 'root', 'wrong');
    await ask(session, '/v3/kv/put', { key: base64('k\0'), value: base64(VALUE) }, root);
    await ask(session, '/v3/kv/range', { key: base64('k\0') }, root);
    await ask(session, '/v3/kv/range', { key: base64('k'), range_end: base64('l') }, reader);
    await ask(session, '/v3/kv/put', { key: base64('k'), value: base64(VALUE) });
    await ask(session, '/v3/lease/grant', { TTL: '60', ID: '77' }, root);
    await ask(session, '/v3/auth/user/changepw', { name: 'reader', password: `${PASSWORD}2` }, root);
    await session.member.stop();
  }

  it('contains changes, logins and refused requests', async () => {
    const session = await start('write');
    await work(session);
    const shown = lines(session).map(({ method, user, key, code }) =>
      [String(method).replace(/^.*\//, ''), user, key, code]
        .flatMap((each) => (typeof each === 'string' ? [each] : []))
        .join(' '),
    );
    expect(shown).toEqual([
      ...['UserAdd OK', 'UserGrantRole OK', 'UserAdd OK', 'AuthEnable OK'],
      ...['Authenticate root OK', 'Authenticate reader OK', 'Authenticate root InvalidArgument'],
      ...['Put root k\\x00 OK', 'Range reader k PermissionDenied', 'Put k InvalidArgument'],
      ...['LeaseGrant root OK', 'UserChangePassword root OK'],
    ]);
    expect(lines(session)[7]).toMatchObject({
      via: 'gateway',
      revision: 2,
      remote: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as string,
    });
    expect(lines(session)[10]).toMatchObject({ ID: '77', TTL: 60 });
    const text = readFileSync(session.path, 'utf8');
    for (const secret of [PASSWORD, VALUE, base64(VALUE), 'wrong']) expect(text).not.toContain(secret);
    expect(statSync(session.path).mode & 0o777).toBe(0o600);
  });

  it('contains reads as well at the level "all"', async () => {
    const session = await start('all');
    await work(session);
    const reads = lines(session).filter(({ method }) => String(method).endsWith('/Range'));
    expect(reads).toMatchObject([
      { user: 'root', key: 'k\\x00', code: 'OK' },
      { user: 'reader', key: 'k', range_end: 'l', code: 'PermissionDenied' },
    ]);
  });

  it('is off by default', async () => {
    const member = await Member.start({ kind: 'keystead' });
    sessions.push({ member, path: '' });
    const metrics = await metricsOf(member);
    expect(metrics).toContain('keystead_audit_log_lines_total 0');
  });

  it('counts and reports dropped lines on a stuck disk, and requests continue', async () => {
    const flags = ['--audit-log-path=/dev/full', '--audit-log-max-size=0'];
    const session = { member: await Member.start({ kind: 'keystead', flags }), path: '' };
    sessions.push(session);
    for (let count = 0; count < 20; count++)
      expect(await ask(session, '/v3/kv/put', { key: base64('k'), value: base64('v') })).toHaveProperty(
        'header',
      );
    await session.member.program.sees('dropped lines of the audit log');
    await eventually('the count of dropped lines', async () => {
      const metrics = await metricsOf(session.member);
      return /keystead_audit_log_dropped_lines_total 2\d/.test(metrics);
    });
  });
});

describe('all output', () => {
  let member: Member;
  let session: Session;

  beforeAll(async () => {
    const flags = ['--bcrypt-cost=4', '--log-level=debug', '--audit-log-level=all'];
    const path = join(tempDir('secrets'), 'audit.log');
    member = await Member.start({ kind: 'keystead', flags: [...flags, `--audit-log-path=${path}`] });
    session = { member, path };
  });

  afterAll(async () => {
    await member.destroy();
    removeTempDir(join(session.path, '..'));
  });

  it('contains no password, token or value, for all requests', async () => {
    const other = 'an0ther-passw0rd';
    await ask(session, '/v3/auth/user/add', { name: 'root', password: PASSWORD });
    await ask(session, '/v3/auth/user/grant', { user: 'root', role: 'root' });
    await ask(session, '/v3/auth/enable', {});
    const token = await login(session, 'root', PASSWORD);
    await login(session, 'root', other);
    await login(session, 'nobody', other);
    await ask(session, '/v3/auth/user/changepw', { name: 'root', password: other }, token);
    const renewed = await login(session, 'root', other);
    const forged = `${renewed}x`;
    const header = Buffer.from('{"alg":"none"}').toString('base64url');
    const jwt = `${header}.${Buffer.from('{"username":"root","revision":1}').toString('base64url')}.`;
    for (const given of [renewed, `Bearer ${renewed}`, forged, `Bearer ${forged}`, jwt]) {
      await ask(session, '/v3/kv/put', { key: base64('k'), value: base64(VALUE) }, given);
      await ask(session, '/v3/kv/range', { key: base64('k') }, given);
      await ask(
        session,
        '/v3/kv/txn',
        { success: [{ requestPut: { key: base64('k'), value: base64(VALUE) } }] },
        given,
      );
    }
    // An invalid request is quoted only in its own response.
    await ask(session, '/v3/auth/authenticate', { name: 'root', password: [other] });
    const metrics = await metricsOf(member);
    const vars = await (await fetch(`${member.clientUrl}/debug/vars`)).text();
    const { program } = member;
    await member.stop();
    const written = [program.lines.join('\n'), readFileSync(session.path, 'utf8'), metrics, vars].join('\n');
    expect(written).toContain('Authenticate');
    expect(written).toContain('invalid auth token');
    for (const secret of [PASSWORD, other, token, renewed, forged, jwt, VALUE, base64(VALUE)])
      expect(written).not.toContain(secret);
  });
});
