import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openLog, createLog } from '../../src/storage/wal/open-log.ts';
import { verifyLog } from '../../src/storage/verify-log.ts';
import { scanLog } from '../../src/storage/wal/log-scan.ts';
import { listSegments } from '../../src/storage/wal/segment-name.ts';
import type { FileLogOptions } from '../../src/storage/wal/file-log.ts';
import type { LogStore } from '../../src/ports/log-store.ts';
import { Entry, HardState } from '../../src/wire/gen/raftpb.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';

const missing = missingPeers('etcd', 'etcdctl');

const optionsOf = (directory: string): FileLogOptions => ({
  directory,
  segmentBytes: 64_000_000,
  onFailure: (error) => {
    throw error;
  },
});

const appended = (log: LogStore, entries: Entry[], hardState: HardState): Promise<void> =>
  new Promise((resolve) => log.append({ entries, hardState }, resolve));

describe.skipIf(missing !== undefined)(`the log compared with etcd's ${missing ?? ''}`, () => {
  let member: Member;
  const copy = tempDir('wal');
  afterAll(async () => {
    await member.destroy();
    removeTempDir(copy);
  });

  it('is read and continued by Keystead after etcd, and then by etcd again', async () => {
    member = await Member.start({ kind: 'etcd', flags: ['--snapshot-count=20'] });
    const etcdctl = new Etcdctl(member.endpoint);
    for (let n = 0; n < 50; n++) await etcdctl.ok(['put', `key-${n}`, 'x'.repeat(n)]);
    await member.stop();

    const directory = join(member.dataDir, 'member/wal');
    const verification = verifyLog(directory);
    expect(verification.findings).toEqual([]);
    expect(verification.snapshotIndex).toBeGreaterThan(20);

    const { log, contents } = openLog(optionsOf(directory));
    const { term, vote } = contents.hardState;
    expect(contents.entries.at(-1)?.index).toBe(verification.lastIndex);
    expect(contents.snapshot.confState.voters).toEqual([vote]);
    const index = log.lastIndex + 1;
    await appended(log, [Entry.create({ term, index })], HardState.create({ term, vote, commit: index }));
    await log.close();

    await member.start();
    expect(await etcdctl.ok(['get', 'key-49'])).toContain('x'.repeat(49));
    await etcdctl.ok(['put', 'after', 'all']);
    await member.stop();
    expect(verifyLog(directory).findings).toEqual([]);
  });

  it('has the same bytes for the same records', async () => {
    const source = join(member.dataDir, 'member/wal');
    const entries: Entry[] = [];
    const { metadata } = scanLog(source, listSegments(source), {
      onEntry: (entry) => entries.push({ ...entry, data: entry.data && Buffer.from(entry.data) }),
    });
    const directory = join(copy, 'wal');
    const { log } = createLog(optionsOf(directory), metadata!);
    // One entry, then one state: the first records of etcd after its metadata and its snapshot record.
    await appended(log, entries.slice(0, 1), HardState.create({ term: 1, vote: 0n, commit: 1 }));
    await log.close();
    const first = (path: string): Buffer =>
      readFileSync(join(path, readdirSync(path).sort()[0]!)).subarray(0, 200);
    expect(first(directory)).toEqual(first(source));
  });
});
