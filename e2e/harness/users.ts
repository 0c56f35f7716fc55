import { Certificates } from './certificates.ts';
import { Etcdctl } from './etcdctl.ts';
import { Member, type MemberKind } from './member.ts';
import { freePort } from './ports.ts';

export interface MemberWithUsers {
  readonly member: Member;
  /** Flags of a client for the certificate authority. */
  readonly flags: readonly string[];
  readonly destroy: () => Promise<void>;
}

/**
 * Starts a member with TLS for clients, with auth on, and with two users: `root:root` may do everything, `alice:secret`
 * may read and write keys that begin with `own/`.
 */
export async function startWithUsers(kind: MemberKind): Promise<MemberWithUsers> {
  const files = new Certificates('users');
  files.issue('server', { commonName: 'server', hosts: ['127.0.0.1'] });
  const clientPort = await freePort();
  const url = `https://127.0.0.1:${clientPort}`;
  const healthUrl = `http://127.0.0.1:${await freePort()}`;
  const member = await Member.start({
    kind,
    clientPort,
    healthUrl,
    flags: [
      ...[
        `--listen-client-urls=${url}`,
        `--advertise-client-urls=${url}`,
        `--listen-metrics-urls=${healthUrl}`,
      ],
      ...[`--cert-file=${files.path('server.crt')}`, `--key-file=${files.path('server.key')}`],
    ],
  });
  const flags = [`--cacert=${files.path('ca.crt')}`];
  const ctl = new Etcdctl(url, flags);
  for (const command of [
    'user add root:root',
    'user grant-role root root',
    'user add alice:secret',
    'role add own',
    'role grant-permission own --prefix=true readwrite own/',
    'user grant-role alice own',
    'auth enable',
  ])
    await ctl.ok(command.split(' '));
  return { member, flags, destroy: () => member.destroy() };
}
