import { commandTable, isShell } from './commands.ts';
import { completionScript } from './scripts.ts';

const USAGE = `Usage: keystead completion bash|zsh|fish

Prints a script that makes the shell complete commands, flags and values of keystead. To load it in each new shell:

  bash   echo 'source <(keystead completion bash)' >> ~/.bashrc
  zsh    keystead completion zsh > "\${fpath[1]}/_keystead"
  fish   keystead completion fish > ~/.config/fish/completions/keystead.fish
`;

/** The `completion` subcommand. Returns the exit code. */
export async function runCompletion(
  args: readonly string[],
  out: (text: string) => void,
  err: (text: string) => void,
): Promise<number> {
  const [shell = '', ...rest] = args;
  if (shell === '--help' || shell === '-h') {
    out(USAGE);
    return 0;
  }
  if (!isShell(shell) || rest.length > 0) {
    err(`keystead completion: give one shell\n${USAGE}`);
    return 2;
  }
  out(completionScript(shell, await commandTable()));
  return 0;
}
