import type { ServerResponse } from 'node:http';
import { Session } from 'node:inspector/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { reply, replyError, type Headers } from './reply.ts';

/** Default durations of profiles. That of the CPU profile is Go's. Go's heap profile has no duration. */
const CPU_SECONDS = 30;
const HEAP_SECONDS = 1;

/** The longest profile. A forgotten request would otherwise sample for hours. */
const MAX_SECONDS = 600;

const index = [
  '/debug/pprof/profile?seconds=30   processor time, as .cpuprofile for Chrome and VS Code',
  '/debug/pprof/heap?seconds=30      sampled allocations, as .heapprofile',
  '/debug/pprof/cmdline              the command line',
  '',
].join('\n');

/** Profiles of the V8 engine, at Go's paths. */
export async function serveProfile(
  path: string,
  query: URLSearchParams,
  response: ServerResponse,
  commandLine: readonly string[],
): Promise<void> {
  const asked = Number(query.get('seconds') ?? 0);
  const secondsOr = (usual: number): number => (asked > 0 ? Math.min(asked, MAX_SECONDS) : usual);
  const text: Headers = [['Content-Type', 'text/plain; charset=utf-8']];
  switch (path.slice('/debug/pprof/'.length)) {
    case '':
      return reply(response, 200, text, index);
    case 'cmdline':
      return reply(response, 200, text, commandLine.join('\0'));
    case 'profile':
      return replyFile(response, 'profile.cpuprofile', await cpuProfile(secondsOr(CPU_SECONDS)));
    case 'heap':
      return replyFile(response, 'heap.heapprofile', await heapProfile(secondsOr(HEAP_SECONDS)));
    default:
      return replyError(response, 404, 'Unknown profile');
  }
}

function replyFile(response: ServerResponse, name: string, profile: unknown): void {
  const headers: Headers = [
    ['Content-Disposition', `attachment; filename="${name}"`],
    ['Content-Type', 'application/json'],
  ];
  reply(response, 200, headers, JSON.stringify(profile));
}

async function cpuProfile(seconds: number): Promise<unknown> {
  return withSession(async (session) => {
    await session.post('Profiler.enable');
    await session.post('Profiler.start');
    await sleep(seconds * 1_000);
    return (await session.post('Profiler.stop')).profile;
  });
}

async function heapProfile(seconds: number): Promise<unknown> {
  return withSession(async (session) => {
    await session.post('HeapProfiler.startSampling');
    await sleep(seconds * 1_000);
    return (await session.post('HeapProfiler.stopSampling')).profile;
  });
}

async function withSession(run: (session: Session) => Promise<unknown>): Promise<unknown> {
  const session = new Session();
  session.connect();
  try {
    return await run(session);
  } finally {
    session.disconnect();
  }
}
