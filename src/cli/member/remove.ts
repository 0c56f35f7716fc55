import { setTimeout as sleep } from 'node:timers/promises';
import { hex, reasonOf } from '../../lib/text.ts';
import {
  type Member,
  MemberRemoveRequest,
  MoveLeaderRequest,
  StatusRequest,
} from '../../wire/gen/etcdserverpb.ts';
import { Cluster, Maintenance } from '../../wire/services.ts';
import { CLIENT_USAGE, type ClientSettings, isJsonWanted, parseClient } from '../client/client-flags.ts';
import { type EndpointClient, firstAnswer, listMembers, withClients } from '../client/endpoint-client.ts';

export interface RemoveOptions {
  readonly client: ClientSettings;
  /** Members are named `<prefix><ordinal>`, as the pods of a StatefulSet. */
  readonly namePrefix: string;
  /** Members with this ordinal or a higher one are removed. */
  readonly fromOrdinal: number;
  /** How long the cluster may refuse a removal, for example because another member is not connected yet. */
  readonly patienceMs: number;
  readonly report: (line: string) => void;
}

export interface RemovedMember {
  readonly name: string;
  /** In hexadecimal. */
  readonly id: string;
}

const RETRY_MS = 1_000;

/**
 * Removes the members of a StatefulSet whose pods are about to end, highest ordinal first.
 *
 * @throws Error if the cluster does not answer or refuses for too long
 */
export async function removeMembers(options: RemoveOptions): Promise<RemovedMember[]> {
  return withClients(options.client, async (clients) => {
    const leaving = (await listMembers(clients, true))
      .map((member) => ({ member, ordinal: ordinalOf(member, options.namePrefix) }))
      .filter(({ ordinal }) => ordinal !== undefined && ordinal >= options.fromOrdinal)
      .toSorted((a, b) => (b.ordinal ?? 0) - (a.ordinal ?? 0));
    if (leaving.length === 0) options.report('no member to remove');
    const members = leaving.map(({ member }) => member);
    const removed: RemovedMember[] = [];
    for (const { member, ordinal } of leaving) {
      await handOver(clients, options, { leaving: members, member });
      await removeOne(clients, member, options.patienceMs);
      const name = `${options.namePrefix}${ordinal ?? ''}`;
      removed.push({ name, id: hex(member.id) });
      options.report(`removed member ${name} (${hex(member.id)})`);
    }
    return removed;
  });
}

/** A member that never started has no name, so the host of its peer URL counts as well. */
function ordinalOf({ name, peerUrls }: Member, prefix: string): number | undefined {
  const hosts = peerUrls.map((url) => new URL(url).hostname.split('.')[0] ?? '');
  for (const candidate of [name, ...hosts]) {
    const digits = candidate.startsWith(prefix) ? candidate.slice(prefix.length) : '';
    if (/^\d+$/.test(digits)) return Number(digits);
  }
  return undefined;
}

/**
 * Transfers the leadership of a member that is about to be removed, to one that stays. Otherwise requests in progress
 * would be lost with it, and nothing could be written until the others have elected a leader. The removal works without
 * it, so a failure is only reported.
 */
async function handOver(
  clients: readonly EndpointClient[],
  { client, report }: RemoveOptions,
  { leaving, member: { id } }: { readonly leaving: readonly Member[]; readonly member: Member },
): Promise<void> {
  try {
    const { leader } = await firstAnswer(clients, (each) =>
      each.call(Maintenance.methods.status, StatusRequest.create()),
    );
    if (leader !== id) return;
    const members = await listMembers(clients, true);
    const target = members.find(
      (each) => !each.isLearner && leaving.every(({ id: other }) => other !== each.id),
    );
    const endpoints = members.find((each) => each.id === id)?.clientUrls ?? [];
    if (target === undefined || endpoints.length === 0) return;
    // Only the leader takes this request.
    await withClients({ ...client, endpoints }, (own) =>
      firstAnswer(own, (each) =>
        each.call(Maintenance.methods.moveLeader, MoveLeaderRequest.create({ targetId: target.id })),
      ),
    );
  } catch (error) {
    report(`the leadership of member ${hex(id)} was not transferred: ${reasonOf(error)}`);
  }
}

async function removeOne(
  clients: readonly EndpointClient[],
  { id }: Member,
  patienceMs: number,
): Promise<void> {
  const until = performance.now() + patienceMs;
  for (;;) {
    try {
      await firstAnswer(clients, (each) =>
        each.call(Cluster.methods.memberRemove, MemberRemoveRequest.create({ id })),
      );
      return;
    } catch (error) {
      // The removal may have succeeded although its answer was lost.
      const members = await listMembers(clients, true).catch(() => undefined);
      if (members !== undefined && members.every((member) => member.id !== id)) return;
      if (performance.now() > until) throw error;
      await sleep(RETRY_MS);
    }
  }
}

const USAGE = `Usage: keystead member remove --name-prefix <prefix> --from-ordinal <number> [options]

Removes the members named <prefix><number> with this number or a higher one from a running cluster. Run it before the
pods of a StatefulSet end. It does nothing if there are none.

  --wait                          Seconds to wait while the cluster refuses (default "120")
  -o, --output                    text or json (default "text")
${CLIENT_USAGE}`;

/** The flags of the command, for `parseArgs`. */
export const removeFlags = {
  'name-prefix': { type: 'string', default: '' },
  'from-ordinal': { type: 'string', default: '' },
  wait: { type: 'string', default: '120' },
  output: { type: 'string', short: 'o', default: 'text' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** The `member` subcommand. Returns the exit code. */
export async function runMember(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  out: (text: string) => void,
  err: (text: string) => void,
): Promise<number> {
  let options: RemoveOptions;
  let isJson: boolean;
  try {
    const { settings, values, positionals } = parseClient(args, environment, removeFlags);
    if (values['help'] === true) {
      out(USAGE);
      return 0;
    }
    isJson = isJsonWanted(values['output']);
    const { 'name-prefix': namePrefix, 'from-ordinal': from, wait } = values;
    if (positionals.length !== 1 || positionals[0] !== 'remove')
      throw new Error('the commands are "member start" and "member remove"');
    if (typeof namePrefix !== 'string' || namePrefix === '') throw new Error('--name-prefix is required');
    if (typeof from !== 'string' || !/^[1-9]\d{0,8}$/.test(from))
      throw new Error('--from-ordinal must be a positive number: one member has to stay');
    if (typeof wait !== 'string' || !/^\d{1,6}$/.test(wait))
      throw new Error('--wait must be a number of seconds');
    options = {
      client: settings,
      namePrefix,
      fromOrdinal: Number(from),
      patienceMs: Number(wait) * 1000,
      report: (text) => (isJson ? err : out)(text),
    };
  } catch (error) {
    err(`keystead member: ${reasonOf(error)}\n${USAGE}`);
    return 2;
  }
  try {
    const removed = await removeMembers(options);
    if (isJson) out(JSON.stringify({ removed }));
    return 0;
  } catch (error) {
    err(`keystead member remove: ${reasonOf(error)}`);
    return 1;
  }
}
