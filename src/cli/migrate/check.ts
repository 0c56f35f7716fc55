import { hex, reasonOf } from '../../lib/text.ts';
import {
  AlarmRequest,
  AlarmRequestAlarmAction,
  AlarmType,
  type Member,
  StatusRequest,
} from '../../wire/gen/etcdserverpb.ts';
import { Maintenance } from '../../wire/services.ts';
import { CLIENT_USAGE, type ClientSettings, isJsonWanted, parseClient } from '../client/client-flags.ts';
import { EndpointClient, firstAnswer, listMembers, withClients } from '../client/endpoint-client.ts';
import { fileFindings, urlFindings } from './certificate-findings.ts';
import { clusterFindings, type ClusterState, type MemberState } from './cluster-findings.ts';
import { dataFindings, readFindings } from './data-findings.ts';
import { type Finding, problem } from './finding.ts';

export interface MigrateReport {
  /** Whether nothing speaks against a migration. */
  readonly safe: boolean;
  readonly findings: readonly Finding[];
}

export interface MigrateOptions {
  readonly client: ClientSettings;
  /** Data directory of etcd on this machine. */
  readonly dataDir: string | undefined;
  /** Where Keystead's data directory will be; default: next to etcd's. */
  readonly targetDir: string | undefined;
  /** A saved snapshot, in place of a data directory. */
  readonly snapshot: string | undefined;
  readonly nowMs: number;
}

/** Checks whether a running cluster can be migrated to Keystead. It changes nothing. */
export async function checkMigration(options: MigrateOptions): Promise<MigrateReport> {
  const { client, dataDir, targetDir, snapshot, nowMs } = options;
  const findings = [
    ...(await liveFindings(client, nowMs)),
    ...fileFindings(client, nowMs),
    ...(dataDir === undefined ? [] : dataFindings(dataDir, targetDir ?? dataDir)),
    ...(snapshot === undefined ? [] : readFindings(snapshot)),
  ];
  return { safe: findings.every(({ level }) => level !== 'problem'), findings };
}

async function liveFindings(client: ClientSettings, nowMs: number): Promise<Finding[]> {
  let state: ClusterState;
  try {
    state = await readCluster(client);
  } catch (error) {
    return [problem('cluster', `the list of members cannot be read: ${reasonOf(error)}`)];
  }
  const urls = state.members.flatMap(({ member }) => [...member.clientUrls, ...member.peerUrls]);
  const certificates = await Promise.all(urls.map((url) => urlFindings(url, client, nowMs)));
  return [...clusterFindings(state), ...certificates.flat()];
}

export function readCluster(settings: ClientSettings): Promise<ClusterState> {
  return withClients(settings, async (clients) => {
    let unconfirmed: string | undefined;
    const members = await listMembers(clients, true).catch((error: unknown) => {
      unconfirmed = reasonOf(error);
      return listMembers(clients, false);
    });
    return {
      ...(unconfirmed === undefined ? {} : { unconfirmed }),
      members: await Promise.all(members.map((member) => readMember(member, settings))),
      alarms: await readAlarms(clients),
    };
  });
}

async function readMember(member: Member, settings: ClientSettings): Promise<MemberState> {
  if (member.clientUrls.length === 0) return { member, status: undefined };
  const request = StatusRequest.create();
  try {
    const status = await withClients({ ...settings, endpoints: member.clientUrls }, (clients) =>
      firstAnswer(clients, (each: EndpointClient) => each.call(Maintenance.methods.status, request)),
    );
    return { member, status };
  } catch (error) {
    return { member, status: reasonOf(error) };
  }
}

async function readAlarms(clients: readonly EndpointClient[]): Promise<string[] | string> {
  const request = AlarmRequest.create({ action: AlarmRequestAlarmAction.GET });
  try {
    const { alarms } = await firstAnswer(clients, (each) => each.call(Maintenance.methods.alarm, request));
    const names = new Map<number, string>([
      [AlarmType.NOSPACE, 'NOSPACE'],
      [AlarmType.CORRUPT, 'CORRUPT'],
    ]);
    return alarms.map(({ memberId, alarm }) => `${names.get(alarm) ?? alarm} on member ${hex(memberId)}`);
  } catch (error) {
    return reasonOf(error);
  }
}

/** Formats the report as text, problems last. */
export function describeReport({ safe, findings }: MigrateReport): string {
  const labels = { ok: 'ok      ', warning: 'WARNING ', problem: 'PROBLEM ' };
  const order = ['ok', 'warning', 'problem'] as const;
  const lines = order.flatMap((level) =>
    findings
      .filter((finding) => finding.level === level)
      .map(({ subject, message }) => `${labels[level]} ${subject}: ${message}`),
  );
  const problems = findings.filter(({ level }) => level === 'problem').length;
  lines.push(
    safe ? 'safe to migrate' : `not safe to migrate: ${problems} problem${problems === 1 ? '' : 's'}`,
  );
  return lines.join('\n');
}

const USAGE = `Usage: keystead migrate check [options]

Checks whether the members of a running cluster of etcd can be replaced by Keystead: versions, leader, alarms, learners,
members that do not answer, certificates, and with --data-dir or --snapshot the stored members. It changes nothing.

  --data-dir                      Data directory of etcd on this machine: checks the stored members and the free space
  --target-dir                    Where Keystead's data directory will be (default: the same as --data-dir)
  --snapshot                      File of "etcdctl snapshot save": checks the stored members
  -o, --output                    text or json (default "text")
${CLIENT_USAGE}
Exit code 0: safe to migrate; 1: not safe, or the check failed; 2: usage error.
`;

/** The flags of the command, for `parseArgs`. */
export const migrateFlags = {
  'data-dir': { type: 'string' },
  'target-dir': { type: 'string' },
  snapshot: { type: 'string' },
  output: { type: 'string', short: 'o', default: 'text' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** The `migrate` subcommand. Returns the exit code. */
export async function runMigrate(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  out: (text: string) => void,
  err: (text: string) => void,
): Promise<number> {
  let options: MigrateOptions;
  let isJson: boolean;
  try {
    const { settings, values, positionals } = parseClient(args, environment, migrateFlags);
    if (values['help'] === true) {
      out(USAGE);
      return 0;
    }
    if (positionals.length !== 1 || positionals[0] !== 'check')
      throw new Error('the only command is "migrate check"');
    isJson = isJsonWanted(values['output']);
    const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
    options = {
      client: settings,
      dataDir: text(values['data-dir']),
      targetDir: text(values['target-dir']),
      snapshot: text(values['snapshot']),
      nowMs: Date.now(),
    };
  } catch (error) {
    err(`keystead migrate: ${reasonOf(error)}\n${USAGE}`);
    return 2;
  }
  const report = await checkMigration(options);
  out(isJson ? JSON.stringify(report) : describeReport(report));
  return report.safe ? 0 : 1;
}
