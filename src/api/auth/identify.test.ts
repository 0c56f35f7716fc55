import { describe, expect, it } from 'vitest';
import type { AuthInfo } from '../../auth/auth-store.ts';
import type { Scheduler } from '../../ports/scheduler.ts';
import { errors } from '../../wire/errors.ts';
import { AppliedIndexWait } from './applied-index.ts';
import { type Caller, makeIdentify } from './identify.ts';
import { openTokens } from './token-provider.ts';

const clock = { now: () => 0, wall: () => 0 };

function setUp(clientCertAuth: boolean) {
  let applied = 10;
  const timers: (() => void)[] = [];
  const scheduler: Scheduler = {
    soon: (task) => task(),
    after: (_ms, task) => {
      timers.push(task);
      return () => undefined;
    },
    every: () => () => undefined,
  };
  const appliedWait = new AppliedIndexWait(() => applied, scheduler, 1000);
  const { provider, simple } = openTokens('simple', 1000, clock);
  simple?.enable();
  const logged: unknown[] = [];
  const log = (message: string, fields?: unknown): void => void logged.push([message, fields]);
  const identify = makeIdentify({
    auth: { isEnabled: true, revision: 5 },
    tokens: provider,
    context: { authRevision: () => 5, whenApplied: (index) => appliedWait.whenApplied(index) },
    clientCertAuth,
    logger: { debug: log, info: log, warn: log, error: log },
  });
  const apply = (index: number): void => {
    applied = index;
    appliedWait.check();
  };
  return { identify, apply, simple, timers, logged, provider };
}

function caller(metadata: Record<string, string>, commonName?: string): Caller {
  return {
    metadata: { get: (name: string) => metadata[name] },
    session: { commonName, hasCertificate: commonName !== undefined },
  };
}

const root: AuthInfo = { username: 'root', revision: 5 };

describe('tokens', () => {
  it('are accepted under both header names, with and without Bearer', () => {
    const { identify, simple, logged } = setUp(false);
    const token = simple?.assign('root', 'p', 3) ?? '';
    expect(identify(caller({ token }))).toEqual(root);
    expect(identify(caller({ authorization: token }))).toEqual(root);
    expect(identify(caller({ authorization: `Bearer ${token}` }))).toEqual(root);
    expect(identify(caller({}))).toBeUndefined();
    expect(() => identify(caller({ token: 'x', authorization: token }))).toThrow(errors.InvalidAuthToken);
    expect(JSON.stringify(logged)).not.toContain('"x"');
  });

  it('are waited for until their entry is applied', async () => {
    const { identify, simple, apply, timers } = setUp(false);
    const early = identify(caller({ token: 'p.12' }));
    const never = identify(caller({ token: 'p.99' }));
    // The number in the token is the index of the entry before. When only that entry is applied, the token is
    // unknown.
    apply(12);
    simple?.assign('root', 'p', 12);
    apply(13);
    expect(await early).toEqual(root);
    timers[1]?.();
    await expect(never).rejects.toBe(errors.InvalidAuthToken);
  });
});

describe('certificates', () => {
  it('count when client-cert-auth is on, after tokens', () => {
    const { identify, simple } = setUp(true);
    const token = simple?.assign('root', 'p', 3) ?? '';
    expect(identify(caller({}, 'client'))).toEqual({ username: 'client', revision: 5 });
    expect(identify(caller({ token }, 'client'))).toEqual(root);
    // As in etcd 3.7: an invalid token is not replaced by the certificate's user.
    expect(() => identify(caller({ token: 'bad' }, 'client'))).toThrow(errors.InvalidAuthToken);
    expect(identify(caller({}))).toBeUndefined();
    expect(setUp(false).identify(caller({}, 'client'))).toBeUndefined();
  });

  it('do not count for requests through the gateway', () => {
    const { identify } = setUp(true);
    expect(identify(caller({ 'grpcgateway-accept': '*/*' }, 'client'))).toBeUndefined();
  });
});

it('each token has a new random prefix', () => {
  const { provider } = setUp(false);
  const drawn = new Set(Array.from({ length: 100 }, () => provider.drawPrefix()));
  expect(drawn.size).toBe(100);
  for (const prefix of drawn) expect(prefix).toMatch(/^[A-Za-z]{16}$/);
});
