import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority } from '../../src/tls/testing/authority.ts';
import { Certificates } from '../harness/certificates.ts';
import { serverUnderTest } from '../harness/member.ts';
import { foundSecureCluster, type SecureMember } from '../harness/secure-member.ts';
import { eventually } from '../harness/wait.ts';

const GOOD = { commonName: 'member', hosts: ['127.0.0.1'] };

/**
 * Two members, of which one gets another certificate while they run. Neither leads without the other, so that a leader
 * shows that both take part.
 */
describe('a member can take part only with a valid certificate', () => {
  const files = new Certificates('peer-certificates');
  const stranger = new Authority('stranger');
  let members: SecureMember[];

  beforeAll(async () => {
    files.issue('server', { hosts: ['127.0.0.1'] });
    for (const name of ['peer0', 'peer1']) files.issue(name, GOOD);
    files.write('crl', files.authority.revoke());
    members = await foundSecureCluster(files, {
      peerFiles: ['peer0', 'peer1'],
      flags: ['--election-timeout=500', '--heartbeat-interval=50'],
    });
  });
  afterAll(async () => {
    for (const { relay } of members) relay.close();
    await Promise.all(members.map(({ member }) => member.destroy()));
  });

  async function all(condition: 'lead' | 'alone'): Promise<boolean> {
    const line = `etcd_server_has_leader ${condition === 'lead' ? 1 : 0}\n`;
    const metrics = await Promise.all(
      members.map(async ({ healthUrl }) => (await fetch(`${healthUrl}/metrics`)).text()),
    );
    return metrics.every((text) => text.includes(line));
  }

  function refusals(): number {
    return members.reduce(
      (count, { member }) =>
        count + member.program.lines.filter((line) => line.includes('rejected connection')).length,
      0,
    );
  }

  const cut = (): void => {
    for (const { relay } of members) relay.cut();
  };

  // etcd keeps a member whose certificate is revoked until that member must connect itself.
  const bad: [string, () => void][] = [
    ['another common name', () => files.issue('peer1', { ...GOOD, commonName: 'client' })],
    ['the address of another machine', () => files.issue('peer1', { ...GOOD, hosts: ['192.0.2.1'] })],
    ['another authority', () => files.issue('peer1', GOOD, stranger)],
    ['an expired certificate', () => files.issue('peer1', { ...GOOD, days: -1 })],
    ['a revoked certificate', () => files.write('crl', files.authority.revoke(files.issue('peer1', GOOD)))],
  ];
  it.each(serverUnderTest === 'etcd' ? bad.slice(0, -1) : bad)(
    '%s keeps it out, until it gets a good one',
    async (_what, spoil) => {
      await eventually('a leader', () => all('lead'), { timeoutMs: 30_000 });
      const before = refusals();
      spoil();
      cut();
      await eventually('refusals', () => refusals() > before, { timeoutMs: 30_000 });
      await eventually('nobody leading', () => all('alone'), { timeoutMs: 30_000 });
      expect(members.every(({ member }) => member.program.alive)).toBe(true);
      files.issue('peer1', GOOD);
      await eventually('a leader again', () => all('lead'), { timeoutMs: 30_000 });
    },
  );
});
