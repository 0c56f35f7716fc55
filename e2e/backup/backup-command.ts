import { type CommandResult, runCommand } from '../harness/command.ts';
import { keysteadBundle, requirePeer } from '../harness/paths.ts';
import { programEnvironment } from '../harness/program.ts';

/** Runs `keystead backup` with flags for all commands. */
export class BackupCommand {
  readonly #flags: readonly string[];
  readonly #env: NodeJS.ProcessEnv;

  constructor(flags: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.#flags = flags;
    this.#env = env;
  }

  run(...args: string[]): Promise<CommandResult> {
    const env = { ...programEnvironment(), ...this.#env };
    return runCommand(process.execPath, [keysteadBundle(), 'backup', ...args, ...this.#flags], {
      env,
      timeoutMs: 60_000,
    });
  }

  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...args);
    if (code !== 0)
      throw new Error(`keystead backup ${args.join(' ')} ended with ${String(code)}: ${stderr}${stdout}`);
    return stdout;
  }

  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.ok(...args, '--output=json')) as T;
  }
}

/** What the tests read of a manifest. */
export interface Listed {
  readonly id: string;
  readonly object: string;
  readonly revision: number;
  readonly hashKv: number;
  readonly clusterId: string;
  readonly memberId: string;
  readonly state: string;
  readonly fault?: string;
  readonly time: string;
}

export async function listBackups(command: BackupCommand): Promise<readonly Listed[]> {
  return (await command.json<{ backups: Listed[] }>('list')).backups;
}

export async function etcdutl(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(requirePeer('etcdutl'), args);
  if (code !== 0) throw new Error(`etcdutl ${args.join(' ')}: ${stderr}`);
  return stdout;
}
