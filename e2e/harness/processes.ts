import { readFileSync } from 'node:fs';

/** Resident memory of a process in bytes. */
export function residentBytes(pid: number): number {
  return memoryBytes(pid, /^VmRSS:\s+(\d+) kB$/m);
}

/** The largest resident memory that a process has had, in bytes. */
export function peakResidentBytes(pid: number): number {
  return memoryBytes(pid, /^VmHWM:\s+(\d+) kB$/m);
}

function memoryBytes(pid: number, line: RegExp): number {
  const kibibytes = line.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kibibytes === undefined) throw new Error(`process ${pid} has ended`);
  return Number(kibibytes) * 1024;
}

/** Processor time of a process, user and system, in milliseconds. */
export function processorMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // Clock ticks are of 10 ms on Linux.
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
