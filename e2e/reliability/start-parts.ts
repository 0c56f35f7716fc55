/** Messages in the log of a member that end a part of its start, in their order. */
const ENDS: readonly (readonly [part: string, isEnd: (line: LogLine) => boolean])[] = [
  ['process', ({ msg }) => msg === 'Running: '],
  ['store and log', ({ msg }) => msg === 'starting member'],
  ['first stream', ({ msg }) => msg === 'opened stream from peer'],
  ['leader', ({ msg, leader }) => msg === 'raft leadership' && leader !== '0'],
  ['catch-up', ({ msg }) => msg === 'published local member to cluster through raft'],
];

interface LogLine {
  readonly ts: string;
  readonly msg: string;
  readonly leader?: string;
}

/**
 * Says what a start took its time for, from the log of the member: the milliseconds from the start of the process to the
 * end of each part. Catch-up is the time until the proposal of the own name is applied, with all entries before it.
 */
export function startParts(lines: readonly string[], startedWallMs: number): string {
  const log = lines.map(parsed).filter((line) => line !== undefined);
  return ENDS.map(([part, isEnd]) => {
    const end = log.find(isEnd);
    return `${part} ${end === undefined ? '-' : Math.round(Date.parse(end.ts) - startedWallMs)}`;
  }).join(', ');
}

function parsed(line: string): LogLine | undefined {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return undefined;
  }
}
