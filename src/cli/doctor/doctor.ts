import { loadConfig } from '../../config/load.ts';
import type { Config } from '../../config/config.ts';
import { hex, reasonOf } from '../../lib/text.ts';
import type { Member } from '../../wire/gen/etcdserverpb.ts';
import { CLIENT_USAGE, type ClientSettings, isJsonWanted, parseClient } from '../client/client-flags.ts';
import { httpGet } from '../client/http-get.ts';
import { readMetrics } from '../client/read-metrics.ts';
import { readCluster } from '../migrate/check.ts';
import { judgeFiles, judgeUrl } from './certificates.ts';
import { memberName } from '../migrate/cluster-findings.ts';
import { judgeCluster } from './cluster.ts';
import { type Diagnosis, problem, worstLevel } from './diagnosis.ts';
import { judgeSyncs, measureSyncs } from './disk.ts';
import { judgeFlags, type MemberFlags } from './flags.ts';
import { judgeClocks, judgeMetrics, type MemberMetrics } from './member-metrics.ts';

/** etcd's defaults, for members whose flags are unknown. */
const DEFAULT_TIMING = { heartbeatMs: 100, electionMs: 1000 };

const USAGE = `Usage: keystead doctor [options]

Examines a running cluster and prints one report: members, leader, alarms, quota, versions, odd flags, the latency between
the members, their clocks, and the ends of certificates. With --data-dir it also tests the disk of this machine, by a
file that is written, synced and removed within two seconds. It changes nothing else.

  --data-dir                      Data directory of a member on this machine, or --wal-dir: tests how fast its disk syncs
  -o, --output                    text or json (default "text")
${CLIENT_USAGE}
Exit code 0: all is well; 1: there are warnings; 2: there are problems, or the command line is wrong.
`;

/** The flags of the command, for `parseArgs`. */
export const doctorFlags = {
  'data-dir': { type: 'string' },
  output: { type: 'string', short: 'o', default: 'text' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

export interface DoctorReport {
  /** The worst level of all findings. */
  readonly level: Diagnosis['level'];
  readonly findings: readonly Diagnosis[];
}

interface DoctorOptions {
  readonly client: ClientSettings;
  readonly dataDir: string | undefined;
  readonly isJson: boolean;
}

/** The `doctor` subcommand. Returns the exit code. */
export async function runDoctor(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  out: (text: string) => void,
  err: (text: string) => void,
): Promise<number> {
  let options: DoctorOptions | undefined;
  try {
    options = parse(args, environment);
  } catch (error) {
    err(`keystead doctor: ${reasonOf(error)}\n${USAGE}`);
    return 2;
  }
  if (options === undefined) {
    out(USAGE);
    return 0;
  }
  const findings = await examine(options);
  const report = { level: worstLevel(findings), findings };
  out(options.isJson ? JSON.stringify(report) : describe(report));
  return { ok: 0, warning: 1, problem: 2 }[report.level];
}

async function examine({ client, dataDir }: DoctorOptions): Promise<Diagnosis[]> {
  const nowMs = Date.now();
  // Before anything else, so that the other requests do not disturb it.
  const disk = dataDir === undefined ? [] : [judgeSyncs(`disk of ${dataDir}`, await measureSyncs(dataDir))];
  return [...(await examineCluster(client, nowMs)), ...judgeFiles(client, nowMs), ...disk];
}

async function examineCluster(client: ClientSettings, nowMs: number): Promise<Diagnosis[]> {
  let state: Awaited<ReturnType<typeof readCluster>>;
  try {
    state = await readCluster(client);
  } catch (error) {
    const hint =
      'look at the endpoints, the certificates and the user; --endpoints takes those of several members';
    return [problem('cluster', `the list of members cannot be read: ${reasonOf(error)}`, hint)];
  }
  const members = state.members.map(({ member }) => member);
  const asked = members.filter(({ clientUrls }) => clientUrls.length > 0);
  const urls = members.flatMap(({ clientUrls, peerUrls }) => [...clientUrls, ...peerUrls]);
  const [metrics, flags, certificates] = await Promise.all([
    Promise.all(asked.map((member) => metricsOf(member, client))),
    Promise.all(asked.map((member) => flagsOf(member, client))),
    Promise.all(urls.map((url) => judgeUrl(url, client, nowMs))),
  ]);
  const timing = timingOf(flags);
  const names = new Map(members.map((member) => [hex(member.id), memberName(member)]));
  return [
    ...judgeCluster(state),
    ...judgeFlags(flags),
    ...metrics.flatMap((each) => judgeMetrics(each, timing, (id) => names.get(id) ?? id)),
    ...judgeClocks(metrics),
    ...certificates.flat(),
  ];
}

async function metricsOf(member: Member, client: ClientSettings): Promise<MemberMetrics> {
  const askedMs = Date.now();
  const answer = await readMetrics(member.clientUrls[0] ?? '', client).catch(reasonOf);
  return { subject: memberName(member), answer, askedMs, answeredMs: Date.now() };
}

/** Reads the command line that the member shows in its variables. Its environment and files of other machines are unknown. */
async function flagsOf(member: Member, client: ClientSettings): Promise<MemberFlags> {
  const subject = memberName(member);
  try {
    const { text } = await httpGet(member.clientUrls[0] ?? '', '/debug/vars', client);
    const { cmdline } = JSON.parse(text) as { cmdline?: unknown };
    if (!Array.isArray(cmdline)) throw new Error('there is no command line in /debug/vars');
    const args = serverArgs(cmdline.slice(1).map(String));
    return { subject, args, config: await configOf(args) };
  } catch (error) {
    return { subject, args: undefined, config: reasonOf(error) };
  }
}

/** The flags of the server: after `member start` they follow a separator. */
function serverArgs(args: readonly string[]): readonly string[] {
  return args[0] === 'member' ? args.slice(args.indexOf('--') + 1) : args;
}

async function configOf(args: readonly string[]): Promise<Config | string> {
  const loaded = await loadConfig({ args, environment: {} });
  if (loaded.kind === 'ready') return loaded.config;
  if (loaded.kind !== 'failed')
    return `the command line is that of a subcommand: ${args.slice(0, 2).join(' ')}`;
  const fault = [...loaded.early, ...loaded.late].findLast(({ level }) => level !== 'info');
  const reason = fault?.fields?.['error'];
  return `the command line is not understood: ${typeof reason === 'string' ? reason : (fault?.message ?? 'no reason')}`;
}

function timingOf(flags: readonly MemberFlags[]): typeof DEFAULT_TIMING {
  for (const { config } of flags)
    if (typeof config !== 'string')
      return { heartbeatMs: config.heartbeatIntervalMs, electionMs: config.electionTimeoutMs };
  return DEFAULT_TIMING;
}

/** Formats the report as text, problems last. */
export function describe({ findings }: DoctorReport): string {
  const labels = { ok: 'ok      ', warning: 'WARNING ', problem: 'PROBLEM ' };
  const order = ['ok', 'warning', 'problem'] as const;
  const lines = order.flatMap((level) =>
    findings
      .filter((finding) => finding.level === level)
      .flatMap(({ subject, message, hint }) => [
        `${labels[level]} ${subject}: ${message}`,
        ...(hint === undefined ? [] : [`          ${hint}`]),
      ]),
  );
  const count = (level: Diagnosis['level'], noun: string): string => {
    const number = findings.filter((finding) => finding.level === level).length;
    return `${number} ${noun}${number === 1 ? '' : 's'}`;
  };
  lines.push(`${count('problem', 'problem')}, ${count('warning', 'warning')}`);
  return lines.join('\n');
}

/** @returns undefined for --help */
function parse(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): DoctorOptions | undefined {
  const { settings, values, positionals } = parseClient(args, environment, doctorFlags);
  if (values['help'] === true) return undefined;
  const [extra] = positionals;
  if (extra !== undefined) throw new Error(`unexpected argument ${extra}`);
  const { output, 'data-dir': dataDir } = values;
  const isJson = isJsonWanted(output);
  return {
    client: settings,
    dataDir: typeof dataDir === 'string' ? dataDir : undefined,
    isJson,
  };
}
