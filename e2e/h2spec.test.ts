import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { GrpcServer } from '../src/grpc/server.ts';
import { hasOpenssl, makeCertificates } from '../src/grpc/test-certificates.ts';
import { runCommand } from './harness/command.ts';
import { Member } from './harness/member.ts';
import { missingPeers, requirePeer } from './harness/paths.ts';
import { removeTempDir, tempDir } from './harness/temp-dir.ts';

const missing = missingPeers('h2spec');

interface Report {
  readonly passed: number;
  /** Cases that did not pass, by name; skipped ones too. */
  readonly others: string[];
  readonly output: string;
}

async function h2spec(port: number, ...flags: string[]): Promise<Report> {
  const directory = tempDir('h2spec');
  try {
    const file = join(directory, 'report.xml');
    const args = ['-h', '127.0.0.1', '-p', String(port), '-S', '-j', file, ...flags];
    const { stdout, stderr } = await runCommand(requirePeer('h2spec'), args, { timeoutMs: 110_000 });
    const cases = readFileSync(file, 'utf8').match(/<testcase [^]*?<\/testcase>|<testcase [^>]*\/>/g) ?? [];
    const failed = cases.filter((each) => /<(failure|error|skipped)/.test(each));
    return {
      passed: cases.length - failed.length,
      others: failed.map((each) => (/package="[^"]*" classname="[^"]*"/.exec(each) ?? [each])[0]),
      output: stdout + stderr,
    };
  } finally {
    removeTempDir(directory);
  }
}

describe.skipIf(missing !== undefined)(`h2spec ${missing ?? ''}`, () => {
  it('all cases pass, strict ones too, without and with TLS', async () => {
    // With a limit on streams, because one case is about it.
    const server = new GrpcServer({ maxReceiveBytes: 1024 * 1024, limits: { maxConcurrentStreams: 100 } });
    try {
      const plain = await h2spec(await server.listen({ host: '127.0.0.1', port: 0 }));
      expect(plain.others, plain.output).toEqual([]);
      expect(plain.passed).toBeGreaterThan(140);
      if (!hasOpenssl()) return;
      const { certificates } = makeCertificates('server');
      const port = await server.listen({ host: '127.0.0.1', port: 0, tls: { ...certificates[0] } });
      const encrypted = await h2spec(port, '-t', '-k');
      expect(encrypted.others, encrypted.output).toEqual([]);
      expect(encrypted.passed).toBe(plain.passed);
    } finally {
      server.close();
    }
  });

  it('all cases pass on the client port of a member', async () => {
    const member = await Member.start({ kind: 'keystead', flags: ['--max-concurrent-streams=100'] });
    try {
      const { others, output } = await h2spec(member.clientPort);
      expect(others, output).toEqual([]);
    } finally {
      await member.destroy();
    }
  });
});
