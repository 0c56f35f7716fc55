import { expect, it } from 'vitest';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member, type MemberKind } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { eventually } from '../harness/wait.ts';

const missing = missingPeers('etcd', 'etcdctl');

type Line = Readonly<Record<string, unknown>>;

/** The lines of a session's requests, without what is another at each run. Go spaces its text at random. */
async function linesOf(kind: MemberKind): Promise<Line[]> {
  const member = await Member.start({ kind, flags: ['--warning-unary-request-duration=1ns'] });
  try {
    const etcdctl = new Etcdctl(member.endpoint);
    await etcdctl.ok(['put', 'a', 'secret']);
    await etcdctl.ok(['get', 'a', 'c', '--limit=5']);
    await etcdctl.ok(['txn'], { input: 'value("a") = "secret"\n\nput b 22\nget a\n\ndel b\n\n' });
    await etcdctl.ok(['del', 'a', 'c']);
    await etcdctl.ok(['member', 'list']);
    const lines = await eventually('the last line', () => {
      const found = member.program.lines
        .filter((line) => line.includes('"request stats"'))
        .map((line) => JSON.parse(line) as Line);
      return found.some((line) => line['response type'] === '/etcdserverpb.Cluster/MemberList') && found;
    });
    return lines.map(({ level, msg, ...line }) => ({
      level,
      msg,
      type: line['response type'],
      content: String(line['request content']).replaceAll(/ +/g, ' '),
      counts: [line['request count'], line['request size'], line['response count']],
      hasSize: Number(line['response size']) > 0,
      fields: Object.keys(line).filter((name) => !['ts', 'caller', 'stacktrace'].includes(name)),
    }));
  } finally {
    await member.destroy();
  }
}

it.skipIf(missing !== undefined)(
  `--warning-unary-request-duration gives the lines that etcd writes ${missing ?? ''}`,
  async () => {
    const [etcd, keystead] = [await linesOf('etcd'), await linesOf('keystead')];
    expect(keystead).toEqual(etcd);
    expect(JSON.stringify(keystead)).not.toContain('secret');
  },
);
