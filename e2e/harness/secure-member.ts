import type { Certificates } from './certificates.ts';
import { Member, serverUnderTest } from './member.ts';
import { freePort } from './ports.ts';
import { Relay } from './relay.ts';

const ADDRESS = '127.0.0.1';

/** A member of a cluster with mutual TLS for clients and peers, with a relay that the others connect through. */
export interface SecureMember {
  readonly member: Member;
  readonly relay: Relay;
  /** Plain HTTP, for health and metrics. */
  readonly healthUrl: string;
}

/**
 * Starts a new cluster whose members use the certificate `server` and their own peer certificates, and refuse those in
 * `crl`.
 */
export async function foundSecureCluster(
  files: Certificates,
  options: { readonly peerFiles: readonly string[]; readonly flags: readonly string[] },
): Promise<SecureMember[]> {
  const places: { name: string; peerFile: string; ports: [number, number, number, number] }[] = [];
  for (const [at, peerFile] of options.peerFiles.entries()) {
    const ports: [number, number, number, number] = [
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
    ];
    places.push({ name: `m${at}`, peerFile, ports });
  }
  const initial = places.map(({ name, ports }) => `${name}=https://${ADDRESS}:${ports[2]}`).join(',');
  const path = (name: string): string => files.path(name);
  return Promise.all(
    places.map(async ({ name, peerFile, ports: [clientPort, peerPort, relayPort, healthPort] }) => {
      const relay = await Relay.open(relayPort, peerPort);
      const [client, peer] = [`https://${ADDRESS}:${clientPort}`, `https://${ADDRESS}:${peerPort}`];
      const healthUrl = `http://${ADDRESS}:${healthPort}`;
      const member = await Member.start({
        kind: serverUnderTest,
        name,
        clientPort,
        peerPort,
        healthUrl,
        readyTimeoutMs: 60_000,
        flags: [
          ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
          ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=https://${ADDRESS}:${relayPort}`],
          ...[`--initial-cluster=${initial}`, `--listen-metrics-urls=${healthUrl}`],
          ...[`--cert-file=${path('server.crt')}`, `--key-file=${path('server.key')}`],
          ...[
            '--client-cert-auth',
            `--trusted-ca-file=${path('ca.crt')}`,
            `--client-crl-file=${path('crl')}`,
          ],
          ...[`--peer-cert-file=${path(`${peerFile}.crt`)}`, `--peer-key-file=${path(`${peerFile}.key`)}`],
          ...['--peer-client-cert-auth', `--peer-trusted-ca-file=${path('ca.crt')}`],
          ...[`--peer-crl-file=${path('crl')}`, '--peer-cert-allowed-cn=member'],
          ...options.flags,
        ],
      });
      return { member, relay, healthUrl };
    }),
  );
}
