import type { Command, CommandFlag, Shell, Value } from './commands.ts';

/** The script that makes a shell complete the program's commands, flags and values. It never runs the program. */
export function completionScript(shell: Shell, commands: readonly Command[]): string {
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](commands);
}

/** All words that follow the first words of a command: of '' the commands, of 'backup' its commands. */
function wordsAfter(commands: readonly Command[]): Map<string, string[]> {
  const after = new Map<string, string[]>();
  for (const { words } of commands) {
    const parts = words.split(' ');
    parts.forEach((word, at) => {
      const before = parts.slice(0, at).join(' ');
      const known = after.get(before) ?? [];
      if (word !== '' && !known.includes(word)) known.push(word);
      after.set(before, known);
    });
  }
  return after;
}

function spellings({ name, short }: CommandFlag): string[] {
  return short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`];
}

/** The branches of the scripts for bash and zsh. */
interface Cases {
  /** The patterns `command:flag` by what the flag takes. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly flags: readonly (readonly [words: string, flags: string])[];
  /** What follows the first words of commands. */
  readonly next: readonly (readonly [words: string, following: string])[];
  readonly takes: readonly (readonly [words: string, value: Value])[];
}

function casesOf(commands: readonly Command[]): Cases {
  const byValue = new Map<string, string[]>();
  for (const { words, flags } of commands)
    for (const flag of flags) {
      if (flag.value === undefined) continue;
      const value = typeof flag.value === 'string' ? flag.value : flag.value.join(' ');
      const cases = byValue.get(value) ?? [];
      for (const spelling of spellings(flag)) cases.push(`'${words}:${spelling}'`);
      byValue.set(value, cases);
    }
  return {
    values: byValue,
    flags: commands.map(({ words, flags }) => [words, flags.flatMap(spellings).join(' ')]),
    next: [...wordsAfter(commands)].map(([words, next]) => [words, next.join(' ')]),
    takes: commands.filter(({ takes }) => takes !== 'text').map(({ words, takes }) => [words, takes]),
  };
}

/** In the script `at` is the command so far, and `flag` the word before the cursor. */
function bashScript(commands: readonly Command[]): string {
  const { values, flags, next, takes } = casesOf(commands);
  const offer = (value: string): string =>
    ({
      file: 'compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur"))',
      directory: 'compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur"))',
      text: ':',
    })[value] ?? `COMPREPLY=($(compgen -W '${value}' -- "$cur"))`;
  return `# Completion for keystead in bash. Load it with: source <(keystead completion bash)
_keystead() {
  local cur=\${COMP_WORDS[COMP_CWORD]} flag=\${COMP_WORDS[COMP_CWORD-1]} at='' word next
  COMPREPLY=()
  # Bash splits --flag=value at the equals sign.
  if [[ $cur == = ]]; then
    cur=''
  elif [[ $flag == = ]]; then
    flag=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    next=\${at:+$at }$word
    case $next in
      ${knownWords(next)}) at=$next ;;
    esac
  done
  case $at:$flag in
${[...values].map(([value, cases]) => `    ${cases.join(' | ')})\n      ${offer(value)}\n      return ;;`).join('\n')}
  esac
  if [[ $cur == -* ]]; then
    case $at in
${flags.map(([words, all]) => `      '${words}') COMPREPLY=($(compgen -W '${all}' -- "$cur")) ;;`).join('\n')}
    esac
    return
  fi
  case $at in
${next.map(([words, all]) => `    '${words}') COMPREPLY=($(compgen -W '${all}' -- "$cur")) ;;`).join('\n')}
${takes.map(([words, value]) => `    '${words}') ${offer(typeof value === 'string' ? value : value.join(' '))} ;;`).join('\n')}
  esac
}
complete -F _keystead keystead
`;
}

/** A pattern with all beginnings of commands. */
function knownWords(next: Cases['next']): string {
  return next
    .flatMap(([before, words]) =>
      words.split(' ').map((word) => `'${before === '' ? word : `${before} ${word}`}'`),
    )
    .join(' | ');
}

function zshScript(commands: readonly Command[]): string {
  const { values, flags, next, takes } = casesOf(commands);
  const offer = (value: string): string =>
    ({ file: '_files', directory: '_files -/', text: ':' })[value] ?? `compadd -- ${value}`;
  return `#compdef keystead
# Completion for keystead in zsh. Save it as _keystead in a folder of $fpath, or load it with:
# source <(keystead completion zsh)
_keystead() {
  local cur=\${words[CURRENT]} flag=\${words[CURRENT-1]} at='' word next
  if [[ $cur == --*=* ]]; then
    flag=\${cur%%=*}
    compset -P '*='
  fi
  for word in \${words[2,CURRENT-1]}; do
    next=\${at:+$at }$word
    case $next in
      ${knownWords(next)}) at=$next ;;
    esac
  done
  case $at:$flag in
${[...values].map(([value, cases]) => `    ${cases.join(' | ')})\n      ${offer(value)}\n      return ;;`).join('\n')}
  esac
  if [[ $cur == -* ]]; then
    case $at in
${flags.map(([words, all]) => `      '${words}') compadd -- ${all} ;;`).join('\n')}
    esac
    return
  fi
  case $at in
${next.map(([words, all]) => `    '${words}') compadd -- ${all} ;;`).join('\n')}
${takes.map(([words, value]) => `    '${words}') ${offer(typeof value === 'string' ? value : value.join(' '))} ;;`).join('\n')}
  esac
}
if [[ $funcstack[1] == _keystead ]]; then
  _keystead "$@"
else
  compdef _keystead keystead
fi
`;
}

function fishScript(commands: readonly Command[]): string {
  const lines = [
    '# Completion for keystead in fish. Save it as keystead.fish in ~/.config/fish/completions, or load it with:',
    '# keystead completion fish | source',
    'function __keystead_at',
    '  set -l known ' +
      [...wordsAfter(commands)]
        .flatMap(([before, all]) => all.map((word) => `'${`${before} ${word}`.trim()}'`))
        .join(' '),
    "  set -l at ''",
    '  for word in (commandline -opc)[2..-1]',
    '    set -l next (string trim -- "$at $word")',
    '    contains -- "$next" $known; and set at "$next"',
    '  end',
    '  test "$at" = "$argv[1]"',
    'end',
    'complete -c keystead -f',
  ];
  for (const [before, words] of wordsAfter(commands))
    lines.push(`complete -c keystead -n "__keystead_at '${before}'" -a '${words.join(' ')}'`);
  for (const { words, flags, takes } of commands) {
    const where = `complete -c keystead -n "__keystead_at '${words}'"`;
    if (takes === 'file' || takes === 'directory') lines.push(`${where} -F`);
    else if (typeof takes !== 'string') lines.push(`${where} -a '${takes.join(' ')}'`);
    for (const { name, short, value } of flags)
      lines.push(`${where} -l ${name}${short === undefined ? '' : ` -s ${short}`}${fishValue(value)}`);
  }
  return `${lines.join('\n')}\n`;
}

function fishValue(value: Value | undefined): string {
  if (value === undefined) return '';
  if (value === 'file') return ' -r -F';
  if (value === 'directory') return " -x -a '(__fish_complete_directories)'";
  return value === 'text' ? ' -x' : ` -x -a '${value.join(' ')}'`;
}
