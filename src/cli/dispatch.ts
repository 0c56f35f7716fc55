import type { Config } from '../config/config.ts';
import { helpText, usageText } from '../config/help.ts';
import type { Logging } from '../logging/logging.ts';
import { makeFilesPrivate } from './private-files.ts';
import { runServer } from './run-server.ts';
import { printVersion } from './version.ts';

export interface CliStreams {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** Runs the server until it has stopped. Returns the exit code. */
export type Serve = (config: Config, logging: Logging) => Promise<number>;

export interface CliInput extends CliStreams {
  /** Without the program name. */
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly serve: Serve;
}

/** Returns the exit code: 0 success, 1 failure, 2 usage error. The code of a subcommand is loaded only when it runs. */
type Subcommand = (args: readonly string[], input: Omit<CliInput, 'args'>) => Promise<number>;

/** The subcommands by name. Without one of them the server runs. */
export const subcommands: Readonly<Record<string, Subcommand>> = {
  verify: async (args, { out, err }) => {
    const { runVerify } = await import('./verify.ts');
    makeFilesPrivate();
    return runVerify(args, line(out), line(err));
  },
  version: (args, { out, err }) => Promise.resolve(printVersion(args, out, err)),
  help: (_args, { out }) => {
    out(usageText() + helpText());
    return Promise.resolve(0);
  },
  snapshot: async (args, { environment, out, err }) => {
    makeFilesPrivate();
    if (args[0] === 'save') {
      const { runSave } = await import('./snapshot-save.ts');
      return runSave(args.slice(1), environment, line(out), line(err));
    }
    const { runSnapshot } = await import('./restore.ts');
    return runSnapshot(args, line(out), line(err));
  },
  member: async (args, input) => {
    if (args[0] === 'start') {
      const { runStart } = await import('./member/start.ts');
      return runStart(args.slice(1), input);
    }
    const { runMember } = await import('./member/remove.ts');
    return runMember(args, input.environment, line(input.out), line(input.err));
  },
  import: async (args, { out, err }) => {
    const { runImport } = await import('./import.ts');
    makeFilesPrivate();
    return runImport(args, line(out), line(err));
  },
  migrate: async (args, { environment, out, err }) => {
    const { runMigrate } = await import('./migrate/check.ts');
    return runMigrate(args, environment, line(out), line(err));
  },
  backup: async (args, { environment, out, err }) => {
    const { runBackup } = await import('./backup/backup.ts');
    makeFilesPrivate();
    return runBackup(args, environment, line(out), line(err));
  },
  doctor: async (args, { environment, out, err }) => {
    const { runDoctor } = await import('./doctor/doctor.ts');
    return runDoctor(args, environment, line(out), line(err));
  },
  top: async (args, { environment, out, err }) => {
    const { runTop } = await import('./top/top.ts');
    const { isTTY, rows } = process.stdout;
    return runTop(args, environment, line(out), line(err), { isTTY, rows });
  },
  bench: async (args, { environment, out, err }) => {
    const { runBench } = await import('./bench/bench.ts');
    return runBench(args, environment, line(out), line(err));
  },
  completion: async (args, { out, err }) => {
    const { runCompletion } = await import('./completion/completion.ts');
    return runCompletion(args, out, err);
  },
  gateway: absent('gateway'),
  'grpc-proxy': absent('grpc-proxy'),
};

function line(write: (text: string) => void): (text: string) => void {
  return (text) => write(text.endsWith('\n') ? text : `${text}\n`);
}

/** The proxies of etcd are separate processes and work in front of Keystead as well. */
function absent(name: string): Subcommand {
  return (_args, { err }) => {
    err(`keystead ${name}: not part of Keystead; etcd's own ${name} works in front of it\n`);
    return Promise.resolve(1);
  };
}

/** Runs a subcommand or the server. Returns the exit code. */
export async function runCli({ args, environment, serve, out, err }: CliInput): Promise<number> {
  const name = args[0] ?? '';
  const subcommand = Object.hasOwn(subcommands, name) ? subcommands[name] : undefined;
  if (subcommand !== undefined) return subcommand(args.slice(1), { environment, serve, out, err });
  return runServer({ args, environment, serve, out, err });
}
