/** One argument of a directive: `key`, `key=value` or `key=(value, value)`. */
export interface Argument {
  readonly key: string;
  readonly values: readonly string[];
}

/** One case of a script: a command, its input, and the output that is expected of it. */
export interface Directive {
  readonly line: number;
  readonly command: string;
  readonly args: readonly Argument[];
  readonly input: string;
  readonly expected: string;
}

/**
 * Reads a script: directives of the form
 *
 *     # comment
 *     command arg key=value key=(value, value)
 *     input lines
 *     ----
 *     expected lines, up to a blank line
 *
 * @throws Error naming the line where a directive has no `----`
 */
export function parseScript(text: string): Directive[] {
  const lines = text.split('\n');
  const directives: Directive[] = [];
  for (let at = 0; at < lines.length;) {
    const head = (lines[at] ?? '').trim();
    const line = ++at;
    if (head === '' || head.startsWith('#')) continue;
    const separator = lines.indexOf('----', at);
    if (separator < 0) throw new Error(`line ${line}: ${head} has no ---- after it`);
    const input = lines.slice(at, separator).join('\n');
    let end = separator + 1;
    while (end < lines.length && lines[end] !== '') end++;
    const expected = lines.slice(separator + 1, end).map((each) => `${each}\n`);
    const [command = '', ...args] = splitWords(head);
    directives.push({ line, command, args: args.map(parseArgument), input, expected: expected.join('') });
    at = end;
  }
  return directives;
}

/** At spaces, but not those within parentheses. */
function splitWords(text: string): string[] {
  return text.match(/(?:\([^)]*\)|[^\s(])+/g) ?? [];
}

function parseArgument(word: string): Argument {
  const equals = word.indexOf('=');
  if (equals < 0) return { key: word, values: [] };
  const value = word.slice(equals + 1);
  const isList = value.startsWith('(') && value.endsWith(')');
  const values = isList ? value.slice(1, -1).split(',') : [value];
  return {
    key: word.slice(0, equals),
    values: values.map((each) => each.trim()).filter((each) => each !== ''),
  };
}

export interface Mismatch {
  readonly line: number;
  readonly command: string;
  readonly expected: string;
  readonly actual: string;
}

/** Runs a script's directives in order. @returns those whose output is not what is expected */
export function runScript(text: string, run: (directive: Directive) => string): Mismatch[] {
  const mismatches: Mismatch[] = [];
  for (const directive of parseScript(text)) {
    const output = run(directive);
    const actual = output === '' || output.endsWith('\n') ? output : `${output}\n`;
    const { line, command, expected } = directive;
    if (actual !== expected) mismatches.push({ line, command, expected, actual });
  }
  return mismatches;
}

/** The script with the output that its directives have now. */
export function rewriteScript(text: string, run: (directive: Directive) => string): string {
  const lines = text.split('\n');
  const out: string[] = [];
  let at = 0;
  for (const directive of parseScript(text)) {
    const separator = lines.indexOf('----', directive.line);
    out.push(...lines.slice(at, separator + 1), run(directive).replace(/\n$/, ''));
    at = separator + 1 + directive.expected.split('\n').length - 1;
  }
  out.push(...lines.slice(at));
  return out.join('\n');
}
