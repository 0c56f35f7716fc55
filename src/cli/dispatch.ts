import type { Config } from '../config/config.ts';
import { helpText, usageText } from '../config/help.ts';
import type { Logging } from '../logging/logging.ts';
import { makeFilesPrivate } from './private-files.ts';
import { runServer } from './run-server.ts';
import { versionText } from './version.ts';

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
const subcommands: Readonly<Record<string, Subcommand>> = {
  verify: async (args, { out, err }) => {
    const { runVerify } = await import('./verify.ts');
    makeFilesPrivate();
    return runVerify(args, line(out), line(err));
  },
  version: (_args, { out }) => {
    out(versionText());
    return Promise.resolve(0);
  },
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
  bench: (_args, { err }) => {
    err('keystead bench: the benchmark is a script of the repository: npm run bench\n');
    return Promise.resolve(2);
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
