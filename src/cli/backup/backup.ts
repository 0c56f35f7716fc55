import { reasonOf } from '../../lib/text.ts';
import { UsageError, type BackupCommand } from './command.ts';

const USAGE = `Usage: keystead backup <command> --url <place> [options]

Backups of a cluster of Keystead or etcd, each proven by a trial restore.

  keystead backup run             Takes a backup and verifies it
  keystead backup list            Lists the backups
  keystead backup verify [ID...]  Reads backups, restores them into a temporary directory and compares HashKV (default: all)
  keystead backup restore [ID]    Creates the data directory of a member of a new cluster (default: the newest good backup)
  keystead backup prune           Removes old backups

  --url                           Where the backups are; variable KEYSTEAD_BACKUP_URL:
                                  file:///folder or the path of a folder, or
                                  s3://bucket/prefix?endpoint=https://host&region=eu-1&style=path (settings as needed)
  --key-file                      Key of encrypted backups: 32 random bytes, or them in hexadecimal or base64; variable
                                  KEYSTEAD_BACKUP_KEY_FILE. "backup run" encrypts only if it is given.
  --temp-dir                      Folder for temporary files, of about twice the size of the store (default: that of the system)
  -o, --output                    text or json (default "text")

Use "keystead backup <command> --help" for the options of a command.
Exit code 0: success; 1: failure, or verify found a fault; 2: usage error.
`;

/** The code of a command is loaded only when it runs. */
const commands: Readonly<Record<string, () => Promise<BackupCommand>>> = {
  run: async () => (await import('./run.ts')).runCommand,
  list: async () => (await import('./list.ts')).listCommand,
  verify: async () => (await import('./verify.ts')).verifyCommand,
  restore: async () => (await import('./restore.ts')).restoreCommand,
  prune: async () => (await import('./prune.ts')).pruneCommand,
};

/** The `backup` subcommand. Returns the exit code. */
export async function runBackup(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  out: (text: string) => void,
  err: (text: string) => void,
): Promise<number> {
  const [name = '', ...rest] = args;
  if (name === '--help' || name === '-h' || name === 'help') {
    out(USAGE);
    return 0;
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load === undefined) {
    err(`keystead backup: ${name === '' ? 'give a command' : `unknown command ${name}`}\n${USAGE}`);
    return 2;
  }
  const command = await load();
  if (rest.includes('--help') || rest.includes('-h')) {
    out(command.usage);
    return 0;
  }
  try {
    return await command.run({ args: rest, environment, out, err });
  } catch (error) {
    const isUsage = error instanceof UsageError;
    err(`keystead backup ${name}: ${reasonOf(error)}${isUsage ? `\n${command.usage}` : ''}`);
    return isUsage ? 2 : 1;
  }
}
