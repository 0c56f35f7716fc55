import { openFileLimit } from '../../metrics/process-families.ts';

/** The variables of `/debug/vars`, with the names of Go's and etcd's. */
export function debugVars(commandLine: readonly string[], raftStatus: unknown): string {
  const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
  const variables: Record<string, unknown> = {
    cmdline: commandLine,
    file_descriptor_limit: openFileLimit(),
    memstats: { Alloc: heapUsed, Sys: rss, HeapAlloc: heapUsed, HeapSys: heapTotal, OtherSys: external },
    'raft.status': raftStatus,
  };
  const lines = Object.entries(variables).map(
    ([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`,
  );
  return `{\n${lines.join(',\n')}\n}\n`;
}
