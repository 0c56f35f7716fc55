import { readdirSync, readFileSync } from 'node:fs';
import { counter, gauge, type Family } from './family.ts';

/** Clock ticks per second in /proc, on every Linux that Node.js runs on. */
const TICKS_PER_SECOND = 100;

/** Metrics of the process from the operating system. Without /proc, the metrics that need it are 0. */
export function processFamilies(): Family[] {
  const started = startSeconds();
  const openFiles = (): number => readdirSafe('/proc/self/fd');
  const limit = openFileLimit;
  return [
    counter('process_cpu_seconds_total', 'Processor time used.', () => {
      const { user, system } = process.cpuUsage();
      return Math.round((user + system) / 1e4) / 100;
    }),
    gauge('process_open_fds', 'Open file descriptors.', openFiles),
    gauge('process_max_fds', 'Limit of open file descriptors.', limit),
    gauge('os_fd_used', 'Open file descriptors.', openFiles),
    gauge('os_fd_limit', 'Limit of open file descriptors.', limit),
    gauge('process_resident_memory_bytes', 'Memory in RAM.', () => process.memoryUsage.rss()),
    gauge('process_virtual_memory_bytes', 'Address space in use.', () => statField(20)),
    gauge('process_virtual_memory_max_bytes', 'Limit of the address space.', () =>
      limitOf('Max address space'),
    ),
    gauge('process_start_time_seconds', 'Start of the process, in seconds since the epoch.', () => started),
    counter('process_network_receive_bytes_total', 'Bytes received by this network namespace.', () =>
      networkOctets('InOctets'),
    ),
    counter('process_network_transmit_bytes_total', 'Bytes sent by this network namespace.', () =>
      networkOctets('OutOctets'),
    ),
    gauge(
      'keystead_heap_used_bytes',
      'Memory of the JavaScript heap in use.',
      () => process.memoryUsage().heapUsed,
    ),
    gauge(
      'keystead_external_memory_bytes',
      'Memory of buffers outside of the JavaScript heap.',
      () => process.memoryUsage().external,
    ),
  ];
}

/** The limit of open files; Infinity if there is no limit or it cannot be read. */
export function openFileLimit(): number {
  return limitOf('Max open files');
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function readdirSafe(path: string): number {
  try {
    return readdirSync(path).length;
  } catch {
    return 0;
  }
}

/** A field of /proc/self/stat. Fields are counted from the state, which follows the name in brackets. */
function statField(place: number): number {
  const text = read('/proc/self/stat');
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[place] ?? 0);
}

function startSeconds(): number {
  const boot = /^btime (\d+)$/m.exec(read('/proc/stat'))?.[1];
  if (boot === undefined) return Math.round(performance.timeOrigin) / 1e3;
  return Number(boot) + statField(19) / TICKS_PER_SECOND;
}

function limitOf(name: string): number {
  const line = read('/proc/self/limits')
    .split('\n')
    .find((candidate) => candidate.startsWith(name));
  const soft = line?.slice(name.length).trim().split(/\s+/)[0];
  // Go reports "no limit" as the largest 64-bit number.
  return soft === undefined || soft === 'unlimited' ? 2 ** 64 : Number(soft);
}

function networkOctets(column: string): number {
  const lines = read('/proc/self/net/netstat').split('\n');
  const at = lines.findIndex((line) => line.startsWith('IpExt:'));
  const place = lines[at]?.split(' ').indexOf(column) ?? -1;
  return place < 0 ? 0 : Number(lines[at + 1]?.split(' ')[place] ?? 0);
}
