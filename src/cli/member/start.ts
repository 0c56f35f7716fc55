import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../config/config.ts';
import { loadConfig } from '../../config/load.ts';
import { areSameUrls, urlTexts } from '../../config/urls.ts';
import { hex, reasonOf } from '../../lib/text.ts';
import { Logging } from '../../logging/logging.ts';
import type { Logger } from '../../ports/logger.ts';
import { dataDirectory } from '../../storage/data-dir.ts';
import { logExists } from '../../storage/wal/open-log.ts';
import { type Member, MemberAddRequest } from '../../wire/gen/etcdserverpb.ts';
import { Cluster } from '../../wire/services.ts';
import { CLIENT_USAGE, type ClientSettings, parseClient } from '../client/client-flags.ts';
import { firstAnswer, listMembers, withClients } from '../client/endpoint-client.ts';
import type { CliInput } from '../dispatch.ts';
import { runServer } from '../run-server.ts';

/** Pause between two requests while the cluster does not answer or does not accept a learner yet. */
const RETRY_MS = 2_000;
/** A refusal that repeats is logged once in this time. */
const REPEAT_MS = 30_000;

/**
 * Determines which flags a member without data needs to join a running cluster. The member adds itself as a learner, and
 * waits for its turn: a cluster accepts one learner at a time.
 *
 * @returns the flags; none for a member with data, for one of a new cluster, and for one that has lost its data, which
 *   is left to the server
 */
export async function joiningFlags(
  config: Config,
  client: ClientSettings,
  logger: Logger,
): Promise<readonly string[]> {
  if (logExists(dataDirectory(config.dataDir, config.walDir).wal)) return [];
  const isFounder = config.initialCluster.has(config.name);
  const own = urlTexts(config.advertisePeerUrls);
  const isOwn = ({ peerUrls }: Member): boolean => areSameUrls(peerUrls, own);
  let loggedAt = -REPEAT_MS;
  for (;;) {
    try {
      if (isFounder && (await isFounding(client, isOwn))) return [];
      const members = await membersOf(client, true);
      const found = members.find(isOwn);
      // The server refuses to start, or asks for a new id (`--keystead-rejoin`). It needs the present members for that.
      if (found !== undefined && found.name !== '')
        return isFounder || !config.rejoin ? [] : existingFlags(config.name, found.id, members);
      if (found !== undefined) return existingFlags(config.name, found.id, members);
      logger.info('joining the running cluster as a learner', { members: members.length });
      const added = await addLearner(client, own);
      const id = added.find(isOwn)?.id;
      if (id !== undefined) return existingFlags(config.name, id, added);
    } catch (error) {
      if (performance.now() - loggedAt >= REPEAT_MS) {
        loggedAt = performance.now();
        logger.warn('waiting to join the running cluster', { error: reasonOf(error) });
      }
    }
    await sleep(RETRY_MS);
  }
}

/**
 * Whether a member of the initial cluster starts with its flags as they are: nothing answers yet, or the members that
 * answer wait for it to form a majority. Those need no majority to tell who is in the cluster.
 */
async function isFounding(client: ClientSettings, isOwn: (member: Member) => boolean): Promise<boolean> {
  const members = await membersOf(client, false).catch(() => []);
  const found = members.find(isOwn);
  return members.length === 0 || (found !== undefined && found.name !== '');
}

function membersOf(client: ClientSettings, linearizable: boolean): Promise<Member[]> {
  return withClients(client, (clients) => listMembers(clients, linearizable));
}

/** Returns the members with the new one. */
function addLearner(client: ClientSettings, peerUrls: string[]): Promise<Member[]> {
  const request = MemberAddRequest.create({ peerUrls, isLearner: true });
  return withClients(client, async (clients) => {
    const response = await firstAnswer(clients, (each) => each.call(Cluster.methods.memberAdd, request));
    return response.members;
  });
}

/** A member that joins must list exactly the members of the cluster. Those that never started have no name yet. */
function existingFlags(name: string, own: bigint, members: readonly Member[]): string[] {
  const list = members.flatMap((member) => {
    const label = member.id === own ? name : member.name === '' ? hex(member.id) : member.name;
    return member.peerUrls.map((url) => `${label}=${url}`);
  });
  return [`--initial-cluster=${list.join()}`, '--initial-cluster-state=existing'];
}

const USAGE = `Usage: keystead member start [options] -- <flags of the server>

Runs the server. A member without data that is not in the running cluster first adds itself to it as a learner. With
--auto-promote-learners on the others it becomes a voter when it has caught up. For the pods of a StatefulSet.

${CLIENT_USAGE}`;

/** `member start`. Returns the exit code of the server. */
export async function runStart(
  args: readonly string[],
  { environment, serve, out, err }: Omit<CliInput, 'args'>,
): Promise<number> {
  const separator = args.indexOf('--');
  const serverArgs = separator < 0 ? [] : args.slice(separator + 1);
  const own = separator < 0 ? args : args.slice(0, separator);
  if (own.includes('--help') || own.includes('-h')) {
    out(USAGE);
    return 0;
  }
  let client: ClientSettings;
  try {
    const { settings, positionals } = parseClient(args.slice(0, Math.max(separator, 0)), environment, {});
    if (separator < 0 || positionals.length > 0) throw new Error('the flags of the server follow after --');
    client = settings;
  } catch (error) {
    err(`keystead member start: ${reasonOf(error)}\n${USAGE}`);
    return 2;
  }
  const outcome = await loadConfig({ args: serverArgs, environment });
  // Process 1 of a container has no default action for signals.
  const end = (): never => process.exit(0);
  process.once('SIGTERM', end);
  const flags =
    outcome.kind === 'ready'
      ? await joiningFlags(outcome.config, client, Logging.early().for('cli/member/start.ts'))
      : [];
  process.off('SIGTERM', end);
  return runServer({ args: [...serverArgs, ...flags], environment, serve, out, err });
}
