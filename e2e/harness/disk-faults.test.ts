import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { diskFaultsMissing, FaultyDisk, type DiskFault } from './disk-faults.ts';
import { removeTempDir, tempDir } from './temp-dir.ts';

/** Makes each kind of call once on `file` and prints its result. */
const SCRIPT = `
const fs = require('node:fs');
const file = process.argv[1];
const outcome = {};
const attempt = (name, call) => {
  const startedAt = performance.now();
  let result = 'ok';
  try { call(); } catch (error) { result = error.code; }
  outcome[name] = result === 'ok' && performance.now() - startedAt > 150 ? 'late' : result;
};
let fd;
attempt('open', () => { fd = fs.openSync(file, 'w+'); });
fd ??= fs.openSync(file + '.other', 'w+');
attempt('write', () => fs.writeSync(fd, 'text'));
attempt('pwrite', () => fs.writeSync(fd, 'text', 0));
attempt('writev', () => fs.writevSync(fd, [Buffer.from('a'), Buffer.from('b')]));
attempt('read', () => fs.readSync(fd, Buffer.alloc(1), 0, 1, 0));
attempt('fsync', () => fs.fsyncSync(fd));
attempt('fdatasync', () => fs.fdatasyncSync(fd));
attempt('truncate', () => fs.ftruncateSync(fd, 1));
attempt('rename', () => fs.renameSync(file, file + '.renamed'));
attempt('unlink', () => fs.unlinkSync(file + '.renamed'));
console.log(JSON.stringify(outcome));
`;

const whole = {
  open: 'ok',
  write: 'ok',
  pwrite: 'ok',
  writev: 'ok',
  read: 'ok',
  fsync: 'ok',
  fdatasync: 'ok',
  truncate: 'ok',
  rename: 'ok',
  unlink: 'ok',
};

describe.skipIf(diskFaultsMissing !== undefined)(`a faulty disk ${diskFaultsMissing ?? ''}`.trimEnd(), () => {
  const folder = tempDir('faulty');
  const disk = diskFaultsMissing === undefined ? new FaultyDisk() : undefined;
  afterAll(() => removeTempDir(folder));

  const outcomeOf = (...faults: DiskFault[]): unknown => {
    disk?.set(...faults);
    const { stdout, stderr } = spawnSync(process.execPath, ['-e', SCRIPT, join(folder, 'file')], {
      env: { ...process.env, ...disk?.env },
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    return JSON.parse(stdout);
  };

  it('fails no call without a rule, or with one for other files', () => {
    expect(outcomeOf()).toEqual(whole);
    expect(outcomeOf({ calls: ['write'], path: '*/elsewhere/*', error: 'EIO' })).toEqual(whole);
  });

  it('fails each family of calls with the given error', () => {
    const path = `${folder}/*`;
    const wrong = (error: string, ...names: string[]) => ({
      ...whole,
      ...Object.fromEntries(names.map((name) => [name, error])),
    });
    expect(outcomeOf({ calls: ['write'], path, error: 'EIO' })).toEqual(
      wrong('EIO', 'write', 'pwrite', 'writev'),
    );
    expect(outcomeOf({ calls: ['sync'], path, error: 'ENOSPC' })).toEqual(
      wrong('ENOSPC', 'fsync', 'fdatasync'),
    );
    expect(outcomeOf({ calls: ['read', 'truncate'], path, error: 'EIO' })).toEqual(
      wrong('EIO', 'read', 'truncate'),
    );
    expect(outcomeOf({ calls: ['rename'], path: '*.renamed', error: 'EIO' })).toEqual({
      ...wrong('EIO', 'rename'),
      unlink: 'ENOENT',
    });
    expect(outcomeOf({ calls: ['unlink'], path, error: 'EROFS' })).toEqual(wrong('EROFS', 'unlink'));
    expect(outcomeOf({ calls: ['open'], path: '*/file', error: 'ENOSPC' })).toMatchObject({
      open: 'ENOSPC',
      write: 'ok',
    });
  });

  it('counts successful and failed calls, and delays calls', () => {
    const path = `${folder}/*`;
    expect(outcomeOf({ calls: ['write'], path, error: 'EIO', after: 1, times: 1 })).toEqual({
      ...whole,
      pwrite: 'EIO',
    });
    expect(outcomeOf({ calls: ['sync'], path, delayMs: 200 })).toEqual({
      ...whole,
      fsync: 'late',
      fdatasync: 'late',
    });
  });
});
