import { flagDefinitions, type FlagKind } from '../../config/flags.ts';
import { clientFlags, type Options } from '../client/client-flags.ts';

/** What a flag or an argument takes: one of some words, a path, or something that cannot be completed. */
export type Value = readonly string[] | 'file' | 'directory' | 'text';

export interface CommandFlag {
  readonly name: string;
  /** One letter. */
  readonly short: string | undefined;
  /** Undefined for a flag that is on when it is given. */
  readonly value: Value | undefined;
}

/** A command of the program, as completion needs it. */
export interface Command {
  /** The words after the program's name, such as `backup run`; empty for the server. */
  readonly words: string;
  readonly flags: readonly CommandFlag[];
  /** What its arguments are. */
  readonly takes: Value;
}

const shells = ['bash', 'fish', 'zsh'] as const;
export type Shell = (typeof shells)[number];

export function isShell(name: string): name is Shell {
  return shells.some((shell) => shell === name);
}

/** What the flags with these names take, in all commands but those below. Others take text. */
const values: Readonly<Record<string, Value>> = {
  output: ['text', 'json'],
  'write-out': ['simple', 'json'],
  cacert: 'file',
  cert: 'file',
  key: 'file',
  'key-file': 'file',
  snapshot: 'file',
  from: 'directory',
  'from-wal-dir': 'directory',
  'data-dir': 'directory',
  'wal-dir': 'directory',
  'target-dir': 'directory',
  'temp-dir': 'directory',
};

/** Every command with its flags. The code of all of them is loaded. */
export async function commandTable(): Promise<Command[]> {
  const [verify, importing, restore, save, member, migrate, doctor, top, bench, operations, sorting, backup] =
    await Promise.all([
      import('../verify.ts'),
      import('../import.ts'),
      import('../restore.ts'),
      import('../snapshot-save.ts'),
      import('../member/remove.ts'),
      import('../migrate/check.ts'),
      import('../doctor/doctor.ts'),
      import('../top/top.ts'),
      import('../bench/bench.ts'),
      import('../bench/operations.ts'),
      import('../top/usage-table.ts'),
      import('../backup/command.ts'),
    ]);
  const [backupRestore, backupVerify, prune] = await Promise.all([
    import('../backup/restore.ts'),
    import('../backup/verify.ts'),
    import('../backup/prune.ts'),
  ]);
  const help = { help: { type: 'boolean', short: 'h' } } as const;
  const { placeFlags, retentionFlags } = backup;
  return [
    { words: '', flags: serverFlags(), takes: 'text' },
    command('verify', verify.verifyFlags),
    command('version', { output: { type: 'string', short: 'o' }, ...help }),
    command('help', {}),
    command('completion', help, shells),
    command('snapshot save', { ...clientFlags, ...save.saveFlags }, 'file'),
    command('snapshot restore', restore.snapshotRestoreFlags, 'file'),
    command('member start', clientFlags),
    command('member remove', { ...clientFlags, ...member.removeFlags }),
    command('import', importing.importFlags),
    command('migrate check', { ...clientFlags, ...migrate.migrateFlags }),
    command('backup run', { ...clientFlags, ...placeFlags, ...retentionFlags, ...help }),
    command('backup list', { ...placeFlags, ...help }),
    command('backup verify', { ...backupVerify.backupVerifyFlags, ...help }),
    command('backup restore', { ...backupRestore.backupRestoreFlags, ...help }),
    command('backup prune', { ...prune.pruneFlags, ...help }),
    command('doctor', { ...clientFlags, ...doctor.doctorFlags }),
    command('top', { ...clientFlags, ...top.topFlags }, 'text', {
      output: ['table', 'json'],
      sort: sorting.sortOrders,
    }),
    command('bench', { ...clientFlags, ...bench.benchFlags }, Object.keys(operations.operations)),
  ];
}

/** @param own what flags of this command take */
function command(
  words: string,
  options: Options,
  takes: Value = 'text',
  own: Readonly<Record<string, Value>> = {},
): Command {
  const flags = Object.entries(options).map(([name, { type, short }]) => ({
    name,
    short,
    value: type === 'boolean' ? undefined : (own[name] ?? values[name] ?? 'text'),
  }));
  return { words, flags, takes };
}

const serverValues: Readonly<Partial<Record<FlagKind, Value>>> = {
  clusterState: ['new', 'existing'],
  discoveryFallback: ['exit', 'proxy'],
};

const serverWords: Readonly<Record<string, Value>> = {
  metrics: ['basic', 'extensive'],
  'log-level': ['debug', 'info', 'warn', 'error', 'panic', 'fatal'],
  'log-format': ['json', 'console'],
  'auto-compaction-mode': ['periodic', 'revision'],
  'audit-log-level': ['write', 'all'],
  'tls-min-version': ['TLS1.2', 'TLS1.3'],
  'tls-max-version': ['TLS1.2', 'TLS1.3'],
};

function serverFlags(): CommandFlag[] {
  const flags = flagDefinitions.map(({ name, kind }) => ({
    name,
    short: undefined,
    value: kind === 'bool' ? undefined : (serverWords[name] ?? serverValues[kind] ?? pathOf(name)),
  }));
  const more = { short: undefined, value: undefined };
  return [...flags, { name: 'version', ...more }, { name: 'help', short: 'h', value: undefined }];
}

function pathOf(name: string): Value {
  if (/-dir$/.test(name)) return 'directory';
  return /(-file|-path)$/.test(name) ? 'file' : 'text';
}
