import type { Profiler } from 'node:inspector';

const SHOWN_FRAMES = 14;
const SHOWN_FUNCTIONS = 4;
/** The stack is followed down to the last frame that has this share of the samples. */
const SHARE = 0.5;

/** Where the time of a part of a profile was spent. */
export interface Stack {
  /** The stack with most of the time, innermost call first. */
  readonly stack: string;
  /** Functions with most samples of their own, with the number of samples. */
  readonly functions: string;
}

/** @param fromUs and `toUs`: the part of the profile, in microseconds of its clock */
export function stackOf(profile: Profiler.Profile | undefined, fromUs: number, toUs: number): Stack {
  if (profile === undefined) return { stack: '', functions: '' };
  const own = samplesOf(profile, fromUs, toUs);
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const totals = new Map<number, number>();
  const root = profile.nodes[0];
  const total = root === undefined ? 0 : addUp(root, nodes, own, totals);
  const frames: string[] = [];
  let node = root;
  while (node !== undefined) {
    const heaviest: Profiler.ProfileNode | undefined = (node.children ?? [])
      .map((id) => nodes.get(id))
      .filter((child) => child !== undefined)
      .sort((left, right) => (totals.get(right.id) ?? 0) - (totals.get(left.id) ?? 0))[0];
    if (heaviest === undefined || (totals.get(heaviest.id) ?? 0) <= total * SHARE) break;
    frames.unshift(frameText(heaviest));
    node = heaviest;
  }
  return { stack: frames.slice(0, SHOWN_FRAMES).join(' < '), functions: functionsOf(nodes, own) };
}

/** The share of the samples that a garbage collection took, from 0 to 1. */
export function collectionShare(profile: Profiler.Profile | undefined, fromUs: number, toUs: number): number {
  if (profile === undefined) return 0;
  const collectors = new Set(
    profile.nodes
      .filter(({ callFrame }) => callFrame.functionName === '(garbage collector)')
      .map(({ id }) => id),
  );
  let all = 0;
  let inCollector = 0;
  for (const [id, count] of samplesOf(profile, fromUs, toUs)) {
    all += count;
    if (collectors.has(id)) inCollector += count;
  }
  return all === 0 ? 0 : inCollector / all;
}

function samplesOf(profile: Profiler.Profile, fromUs: number, toUs: number): Map<number, number> {
  const { samples = [], timeDeltas = [] } = profile;
  const own = new Map<number, number>();
  let atUs = profile.startTime;
  for (const [index, id] of samples.entries()) {
    atUs += timeDeltas[index] ?? 0;
    if (atUs >= fromUs && atUs <= toUs) own.set(id, (own.get(id) ?? 0) + 1);
  }
  return own;
}

function addUp(
  node: Profiler.ProfileNode,
  nodes: ReadonlyMap<number, Profiler.ProfileNode>,
  own: ReadonlyMap<number, number>,
  totals: Map<number, number>,
): number {
  let sum = own.get(node.id) ?? 0;
  for (const id of node.children ?? []) {
    const child = nodes.get(id);
    if (child !== undefined) sum += addUp(child, nodes, own, totals);
  }
  totals.set(node.id, sum);
  return sum;
}

function functionsOf(
  nodes: ReadonlyMap<number, Profiler.ProfileNode>,
  own: ReadonlyMap<number, number>,
): string {
  const counts = new Map<string, number>();
  for (const [id, count] of own) {
    const node = nodes.get(id);
    if (node !== undefined) counts.set(frameText(node), (counts.get(frameText(node)) ?? 0) + count);
  }
  return [...counts]
    .sort(([, left], [, right]) => right - left)
    .slice(0, SHOWN_FUNCTIONS)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}

function frameText({ callFrame }: Profiler.ProfileNode): string {
  const { functionName, url, lineNumber } = callFrame;
  const file = url.slice(url.lastIndexOf('/') + 1);
  const name = functionName === '' ? 'anonymous' : functionName;
  return file === '' ? name : `${name} (${file}:${lineNumber + 1})`;
}
