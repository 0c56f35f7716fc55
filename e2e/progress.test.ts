import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CommandResult, runCommand } from './harness/command.ts';
import { Member } from './harness/member.ts';
import { keysteadBundle } from './harness/paths.ts';
import { tempDir } from './harness/temp-dir.ts';

/** Runs a command on a terminal of its own. */
const SCRIPT = '/usr/bin/script';
const CLEAR_LINE = '\r\x1b[K';

function keystead(args: readonly string[], isOnTerminal: boolean): Promise<CommandResult> {
  const command = [process.execPath, keysteadBundle(), ...args];
  if (!isOnTerminal) return runCommand(command[0] ?? '', command.slice(1), { timeoutMs: 60_000 });
  return runCommand(SCRIPT, ['-qec', command.join(' '), '/dev/null'], { timeoutMs: 60_000 });
}

const missing = existsSync(SCRIPT) ? undefined : `skipped: ${SCRIPT} is not installed`;
describe.skipIf(missing !== undefined)(`progress ${missing ?? ''}`, () => {
  const folder = tempDir('progress');
  const place = join(folder, 'place');
  let member: Member;

  beforeAll(async () => {
    member = await Member.start({ kind: 'keystead' });
    const args = ['put', `--endpoints=${member.endpoint}`, '--total=3000', '--keys=3000', '--keep'];
    expect(await keystead(['bench', ...args], false)).toMatchObject({ code: 0 });
  });
  afterAll(() => member.destroy());

  it('is shown on a terminal only, and removed before the result', async () => {
    const at = `--endpoints=${member.endpoint}`;
    const file = join(folder, 'saved.db');
    const commands: readonly (readonly [args: string[], shown: RegExp])[] = [
      [['bench', 'get', at, '--total=2000', '--keys=100'], /get {2}\[[#-]+\] +\d+ % .* of 2,000 requests/],
      [['snapshot', 'save', file, at], /saving the snapshot {2}\[[#-]+\] +\d+ % /],
      [['backup', 'run', `--url=${place}`, at], /restoring for a trial {2}[\d,]+ changes/],
      [['backup', 'verify', `--url=${place}`], /reading the backup {2}\[[#-]+\] +\d+ % /],
    ];
    for (const [args, shown] of commands) {
      const piped = await keystead(args, false);
      expect(piped).toMatchObject({ code: 0, stderr: '' });
      expect(piped.stdout).not.toContain('\x1b');
      const { code, stdout } = await keystead(args, true);
      expect(code).toBe(0);
      expect(stdout).toMatch(shown);
      const [, result = ''] = stdout.split(new RegExp(`^.*${CLEAR_LINE.replace('[', '\\[')}`, 's'));
      // The result stands by itself after the line was removed.
      expect(result.trim()).not.toBe('');
      expect(result).not.toMatch(/\[[#-]+\]/);
    }
  });

  it('is shown for work on files', async () => {
    const file = join(folder, 'file.db');
    await keystead(['snapshot', 'save', file, `--endpoints=${member.endpoint}`], false);
    const restored = join(folder, 'restored');
    const { stdout } = await keystead(['snapshot', 'restore', file, `--data-dir=${restored}`], true);
    expect(stdout).toMatch(/restoring {2}[\d,]+ changes/);
    const { code, stdout: verified } = await keystead(['verify', `--data-dir=${restored}`], true);
    expect(code).toBe(0);
    expect(verified).toMatch(/verifying the store {2}/);
    const other = join(folder, 'other');
    const { stdout: fromBackup } = await keystead(
      ['backup', 'restore', `--url=${place}`, `--data-dir=${other}`],
      true,
    );
    expect(fromBackup).toMatch(/restored backup/);
  });
});
