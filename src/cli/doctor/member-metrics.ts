import type { MetricsAnswer, MetricSample } from '../client/read-metrics.ts';
import { type Diagnosis, good, problem, warning } from './diagnosis.ts';

/** The metrics of a member. */
export interface MemberMetrics {
  readonly subject: string;
  /** A string for the reason of a failure. */
  readonly answer: MetricsAnswer | string;
  /** The clock of this machine when the answer was asked for and received, in milliseconds since 1970. */
  readonly askedMs: number;
  readonly answeredMs: number;
}

/** The flags that latencies are judged by. */
export interface Timing {
  readonly heartbeatMs: number;
  readonly electionMs: number;
}

const MAX_LOOP_DELAY_SECONDS = 0.05;
const FULL_FILES = 0.8;
/** A sync of the log since the start of the member. */
const SLOW_SYNC_SECONDS = 0.01;
const TOO_SLOW_SYNC_SECONDS = 0.1;
/** The date of an answer has whole seconds, and may be one second old. */
const DATE_MS = 2_000;
const CLOCK_PROBLEM_MS = 30_000;

/** Judges the metrics of one member. @param nameOf the name of the member with an id in hexadecimal */
export function judgeMetrics(
  { subject, answer }: MemberMetrics,
  timing: Timing,
  nameOf: (id: string) => string,
): Diagnosis[] {
  if (typeof answer === 'string')
    return [
      warning(
        `metrics of ${subject}`,
        `cannot be read, so its clock and the latency of its peers are unknown: ${answer}`,
        'they are at the client URLs, unless --listen-client-http-urls is set',
      ),
    ];
  const { samples } = answer;
  return [
    ...judgePeers(subject, samples, timing, nameOf),
    ...judgeSyncHistory(subject, samples),
    ...judgeLoad(subject, samples),
  ];
}

function judgePeers(
  subject: string,
  samples: readonly MetricSample[],
  { heartbeatMs, electionMs }: Timing,
  nameOf: (id: string) => string,
): Diagnosis[] {
  const metric = 'etcd_network_peer_round_trip_time_seconds';
  const hasPeers = samples.some(({ name, value }) => name === 'etcd_network_known_peers' && value > 0);
  if (hasPeers && !samples.some(({ name, value }) => name === `${metric}_count` && value > 0))
    return [good(`latency from ${subject}`, 'not measured yet; members measure it every few seconds')];
  return samples.flatMap(({ name, labels, value: count }) => {
    if (name !== `${metric}_count` || count === 0) return [];
    const to = labels['To'] ?? '';
    const sum = samples.find((other) => other.name === `${metric}_sum` && other.labels['To'] === to)?.value;
    const meanMs = (1000 * (sum ?? 0)) / count;
    const name_ = `latency from ${subject} to ${nameOf(to)}`;
    const text = `${meanMs.toFixed(1)} ms for a round trip`;
    const hint =
      `look at the network; if it has to be so, set --heartbeat-interval to ${Math.ceil(meanMs)} and ` +
      `--election-timeout to ${Math.ceil(10 * meanMs)} or more on all members`;
    if (meanMs >= electionMs / 2)
      return [problem(name_, `${text}, more than half an election timeout (${electionMs} ms)`, hint)];
    if (meanMs >= heartbeatMs)
      return [warning(name_, `${text}, more than a heartbeat interval (${heartbeatMs} ms)`, hint)];
    return [good(name_, text)];
  });
}

function judgeSyncHistory(subject: string, samples: readonly MetricSample[]): Diagnosis[] {
  const name = `syncs of the log of ${subject}`;
  const p99 = quantileOf(samples, 'etcd_disk_wal_fsync_duration_seconds', 0.99);
  if (p99 === undefined) return [];
  const text = `99th percentile since the start at most ${(1000 * p99).toFixed(0)} ms`;
  const hint = 'run the command with --data-dir on its machine to test the disk now; use a faster disk';
  if (p99 > 10 * TOO_SLOW_SYNC_SECONDS) return [problem(name, text, hint)];
  // The bounds of the histogram are powers of two milliseconds.
  return [p99 > 2 * SLOW_SYNC_SECONDS ? warning(name, text, hint) : good(name, text)];
}

/** The upper bound of the bucket of a quantile; undefined without observations. */
function quantileOf(samples: readonly MetricSample[], metric: string, fraction: number): number | undefined {
  const count = samples.find(({ name }) => name === `${metric}_count`)?.value ?? 0;
  if (count === 0) return undefined;
  const bounds = samples
    .filter(({ name, value }) => name === `${metric}_bucket` && value >= fraction * count)
    .map(({ labels }) => (labels['le'] === '+Inf' ? Infinity : Number(labels['le'])));
  return Math.min(...bounds);
}

function judgeLoad(subject: string, samples: readonly MetricSample[]): Diagnosis[] {
  const findings: Diagnosis[] = [];
  const read = (metric: string, label?: readonly [string, string]): number | undefined =>
    samples.find(
      ({ name, labels }) => name === metric && (label === undefined || labels[label[0]] === label[1]),
    )?.value;
  const delay = read('keystead_event_loop_delay_seconds', ['quantile', '0.99']);
  // etcd has no event loop.
  if (delay === undefined)
    findings.push(good(`event loop of ${subject}`, 'unknown, because only Keystead measures it'));
  else if (delay > MAX_LOOP_DELAY_SECONDS)
    findings.push(
      warning(
        `event loop of ${subject}`,
        `delayed by ${(1000 * delay).toFixed(0)} ms (99th percentile)`,
        'give the member more processor time, or reduce the load',
      ),
    );
  const [open, max] = [read('process_open_fds'), read('process_max_fds')];
  if (open !== undefined && max !== undefined && max > 0 && open > FULL_FILES * max)
    findings.push(
      warning(`open files of ${subject}`, `${open} of ${max}`, 'raise the limit of open files (ulimit -n)'),
    );
  return findings;
}

/**
 * Compares the clocks of the members, by the dates of their answers. A difference of up to two seconds is not seen,
 * because a date has whole seconds.
 */
export function judgeClocks(members: readonly MemberMetrics[]): Diagnosis[] {
  const clocks = members.flatMap(({ subject, answer, askedMs, answeredMs }) => {
    if (typeof answer === 'string' || answer.serverMs === undefined) return [];
    // The clock is ahead of the one of this machine by something in between.
    return [{ subject, least: answer.serverMs - answeredMs, most: answer.serverMs + DATE_MS - askedMs }];
  });
  if (clocks.length === 0) return [];
  const hint = 'run a time service (chrony, systemd-timesyncd) on all machines';
  const slowest = clocks.reduce((a, b) => (b.most < a.most ? b : a));
  const fastest = clocks.reduce((a, b) => (b.least > a.least ? b : a));
  const apartMs = fastest.least - slowest.most;
  if (apartMs > 0) {
    const text = `the clock of ${fastest.subject} is at least ${seconds(apartMs)} ahead of that of ${slowest.subject}`;
    return [(apartMs >= CLOCK_PROBLEM_MS ? problem : warning)('clocks', text, hint)];
  }
  const away = clocks.find(({ least, most }) => least > DATE_MS || most < -DATE_MS);
  if (away !== undefined) {
    const ms = away.least > 0 ? away.least : -away.most;
    const text = `the clocks of the members and of this machine differ by at least ${seconds(ms)}`;
    return [warning('clocks', text, hint)];
  }
  return [
    good('clocks', `${clocks.length === 1 ? 'the member and this machine' : 'all'} agree within two seconds`),
  ];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
