import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { SecureContextOptions } from 'node:tls';
import { Certificates } from '../../harness/certificates.ts';
import { Etcdctl } from '../../harness/etcdctl.ts';
import { Member, type MemberKind } from '../../harness/member.ts';
import { freePort } from '../../harness/ports.ts';
import { eventually } from '../../harness/wait.ts';
import { processorMs, residentBytes } from '../../harness/processes.ts';

const ADDRESS = '127.0.0.1';
const READY_MS = 120_000;

interface Place {
  readonly name: string;
  readonly peerPort: number;
  readonly clientPort: number;
  readonly healthUrl: string;
}

/** Resources of one member's process. */
export interface Usage {
  readonly residentBytes: number;
  readonly files: number;
  readonly diskBytes: number;
  readonly processorSeconds: number;
  /** 99th percentile of the event loop delay in seconds since the start; undefined for etcd. */
  readonly loopDelaySeconds: number | undefined;
}

/** Three members with TLS for clients and peers, whose certificates change and of which members are replaced. */
export class SoakCluster {
  readonly members: Member[] = [];
  readonly #files = new Certificates('soak');
  readonly #kind: MemberKind;
  #count = 0;

  private constructor(kind: MemberKind) {
    this.#kind = kind;
    this.rotate();
  }

  static async create(kind: MemberKind): Promise<SoakCluster> {
    const cluster = new SoakCluster(kind);
    const places = [await cluster.#place(), await cluster.#place(), await cluster.#place()];
    const initial = places.map((place) => `${place.name}=${peerUrl(place)}`).join(',');
    const started = places.map((place) => cluster.#start(place, [`--initial-cluster=${initial}`]));
    cluster.members.push(...(await Promise.all(started)));
    return cluster;
  }

  /** New certificates for all, in place of those before. */
  rotate(): void {
    this.#files.issue('server', { hosts: ['localhost', ADDRESS] });
    this.#files.issue('peer', { commonName: 'member', hosts: [ADDRESS] });
    this.#files.issue('client', { commonName: 'soak', usage: 'client' });
  }

  /** The present TLS settings for clients. */
  get tls(): SecureContextOptions {
    const read = (name: string): Buffer => readFileSync(this.#files.path(name));
    return { ca: read('ca.crt'), cert: read('client.crt'), key: read('client.key') };
  }

  ctl(...members: readonly Member[]): Etcdctl {
    const asked = members.length > 0 ? members : this.members;
    const endpoints = asked.map(({ endpoint }) => `https://${endpoint}`).join(',');
    return new Etcdctl(endpoints, this.#files.flags('client'));
  }

  /** Removes a member with its data and takes a new one in. */
  async replace(member: Member): Promise<void> {
    const others = this.members.filter((each) => each !== member);
    const status = await this.ctl(member).ok(['endpoint', 'status']);
    const id = status.split(', ')[1] ?? '';
    await eventually(`${member.name} is removed`, async () => {
      const { code, stderr } = await this.ctl(...others).run(['member', 'remove', id]);
      return code === 0 || stderr.includes('member not found');
    });
    await member.destroy();
    const place = await this.#place();
    const added = await eventually(`${place.name} is added`, async () => {
      const args = ['member', 'add', place.name, `--peer-urls=${peerUrl(place)}`];
      const { code, stdout, stderr } = await this.ctl(...others).run(args);
      if (code !== 0) throw new Error(stderr);
      return stdout;
    });
    const initial = /ETCD_INITIAL_CLUSTER="([^"]+)"/.exec(added)?.[1] ?? '';
    const flags = [`--initial-cluster=${initial}`, '--initial-cluster-state=existing'];
    this.members.splice(this.members.indexOf(member), 1, await this.#start(place, flags));
  }

  async destroy(): Promise<void> {
    await Promise.all(this.members.map((member) => member.destroy()));
  }

  async #place(): Promise<Place> {
    const name = `soak${this.#count++}`;
    const healthUrl = `http://${ADDRESS}:${await freePort()}`;
    return { name, healthUrl, peerPort: await freePort(), clientPort: await freePort() };
  }

  #start(place: Place, flags: readonly string[]): Promise<Member> {
    const { name, peerPort, clientPort, healthUrl } = place;
    const path = (file: string): string => this.#files.path(file);
    const client = `https://${ADDRESS}:${clientPort}`;
    return Member.start({
      kind: this.#kind,
      name,
      peerPort,
      clientPort,
      healthUrl,
      readyTimeoutMs: READY_MS,
      flags: [
        ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
        ...[`--listen-peer-urls=${peerUrl(place)}`, `--initial-advertise-peer-urls=${peerUrl(place)}`],
        ...[`--listen-metrics-urls=${healthUrl}`, '--client-cert-auth', '--peer-client-cert-auth'],
        ...[`--cert-file=${path('server.crt')}`, `--key-file=${path('server.key')}`],
        ...[`--peer-cert-file=${path('peer.crt')}`, `--peer-key-file=${path('peer.key')}`],
        ...[`--trusted-ca-file=${path('ca.crt')}`, `--peer-trusted-ca-file=${path('ca.crt')}`],
        ...flags,
      ],
    });
  }
}

function peerUrl({ peerPort }: Place): string {
  return `https://${ADDRESS}:${peerPort}`;
}

/** What a member's process uses now. */
export async function usageOf(member: Member): Promise<Usage> {
  const disk = execFileSync('du', ['-sk', member.dataDir], { encoding: 'utf8' });
  const metrics = await fetch(`${member.healthUrl}/metrics`, { signal: AbortSignal.timeout(5_000) });
  const delay = /^keystead_event_loop_delay_seconds\{quantile="0.99"\} (\S+)$/m.exec(
    await metrics.text(),
  )?.[1];
  return {
    residentBytes: residentBytes(member.pid),
    files: readdirSync(`/proc/${member.pid}/fd`).length,
    diskBytes: Number(disk.split('\t')[0]) * 1024,
    processorSeconds: processorMs(member.pid) / 1000,
    loopDelaySeconds: delay === undefined ? undefined : Number(delay),
  };
}
