import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/*
 * Rules of the repository that no linter checks. Each message says what to do instead. The rules do not apply to tests
 * and their helpers.
 */

const source = dirname(fileURLToPath(import.meta.url));
const root = dirname(source);

/** Modules whose code is the same in a server and in a simulation: all that they need is passed in. */
const pureModules = new Set([
  'lib',
  'wire',
  'ports',
  'raft',
  'mvcc',
  'lease',
  'auth',
  'membership',
  'apply',
  'usage',
]);

/** The modules that each module may import. `main.ts`, `cli` and `sim` connect everything and may import all modules. */
const allowedImports: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  wire: ['lib'],
  ports: ['lib', 'wire'],
  raft: ['lib', 'wire', 'ports'],
  mvcc: ['lib', 'wire', 'ports'],
  lease: ['lib', 'wire', 'ports', 'mvcc'],
  auth: ['lib', 'wire', 'ports', 'mvcc'],
  membership: ['lib', 'wire', 'ports', 'raft', 'mvcc'],
  apply: ['lib', 'wire', 'ports', 'raft', 'mvcc', 'lease', 'auth', 'membership'],
  usage: ['lib', 'wire', 'ports', 'mvcc'],
  threads: ['ports'],
  metrics: ['lib', 'ports'],
  config: ['lib', 'ports'],
  logging: ['lib', 'ports'],
  bbolt: ['lib', 'wire', 'ports'],
  snapshot: ['lib', 'wire', 'ports', 'mvcc', 'lease', 'auth', 'membership', 'apply', 'bbolt', 'threads'],
  storage: ['lib', 'wire', 'ports'],
  backup: [
    ...['lib', 'wire', 'ports', 'mvcc', 'lease', 'auth', 'membership', 'apply'],
    ...['bbolt', 'snapshot', 'storage'],
  ],
  peer: ['lib', 'wire', 'ports'],
  tls: ['lib', 'ports', 'config'],
  http2: ['lib', 'wire', 'ports'],
  grpc: ['lib', 'wire', 'ports', 'http2'],
  serving: ['lib', 'wire', 'ports', 'http2', 'grpc', 'threads'],
  tracing: ['lib', 'ports', 'grpc'],
  'raft-thread': ['lib', 'wire', 'ports', 'raft', 'serving', 'server', 'threads'],
  server: [
    'lib',
    'wire',
    'ports',
    'raft',
    'mvcc',
    'lease',
    'auth',
    'membership',
    'apply',
    'usage',
    'config',
    'metrics',
  ],
  status: [...['lib', 'wire', 'ports', 'membership', 'metrics', 'grpc', 'server', 'api']],
  api: [
    ...['lib', 'wire', 'ports', 'raft', 'mvcc', 'lease', 'auth', 'membership', 'apply', 'config', 'metrics'],
    ...['server', 'grpc', 'http2', 'bbolt', 'threads'],
  ],
};

/** What pure modules must not use, and what to use instead. */
const impure: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/\bDate\b(?=\.|\()/, 'time: take it as an argument, or a Clock of src/ports/clock.ts'],
  [/\bset(Timeout|Interval|Immediate)\(/, 'timers: be driven by tick, or leave the timer to src/server'],
  [/\bMath\.random\(/, 'randomness: take a seeded source as an argument'],
  [
    /\b(async |await |new Promise\b|Promise\.)/,
    'promises: return a description of the work, or take a callback',
  ],
  [/\bprocess\./, 'the process: take what is needed as an argument'],
];

/** A longer file has more than one subject. Exceptions are listed with the reason. */
const MAX_LINES = 500;
const longFiles: Readonly<Record<string, string>> = {};

interface SourceFile {
  readonly path: string;
  readonly module: string;
  readonly text: string;
}

function listFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'testdata' ? [] : listFiles(path);
    return entry.name.endsWith('.ts') ? [path] : [];
  });
}

/** Tests and files that only tests use. */
function isTestCode(path: string): boolean {
  return /(\.test|\.cases|-harness|[/\\]fuzz|[/\\]test-[a-z-]+|[/\\]raw-client)\.ts$|[/\\]testing[/\\]|[/\\]sim[/\\]/.test(
    path,
  );
}

const files: readonly SourceFile[] = listFiles(source).map((path) => {
  const inside = relative(source, path).split(sep);
  return {
    path: inside.join('/'),
    module: inside.length > 1 ? (inside[0] ?? '') : '',
    text: readFileSync(path, 'utf8'),
  };
});
const production = files.filter(({ path }) => !isTestCode(`/${path}`));

function importsOf({ text }: SourceFile): string[] {
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '');
}

/** The module of a relative import; undefined for packages and the top level. */
function importedModule(file: SourceFile, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  const target = relative(source, resolve(source, dirname(file.path), specifier)).split(sep);
  return target.length > 1 ? target[0] : undefined;
}

/** The files whose values a file imports or re-exports; type imports do not count. */
function valueImportsOf(file: SourceFile): string[] {
  const statements = file.text.matchAll(
    /^(?:import|export)\s+(?!type\s)([^;'"]*?)\s*(?:from\s+)?'(\.[^']+)'/gm,
  );
  return [...statements]
    .filter(([, clause = '']) => {
      const names = /^\{([^}]*)\}$/.exec(clause.trim())?.[1];
      const list = names?.split(',').filter((name) => name.trim() !== '');
      return list === undefined || list.some((name) => !name.trim().startsWith('type '));
    })
    .map(([, , specifier = '']) => relative(source, resolve(source, dirname(file.path), specifier)))
    .map((path) => path.split(sep).join('/'));
}

/** Groups of files that import values from each other, directly or indirectly, by Tarjan's algorithm. */
function valueCycles(all: readonly SourceFile[]): string[] {
  const imports = new Map(all.map((file) => [file.path, valueImportsOf(file)]));
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const cycles: string[] = [];
  const visit = (path: string): number => {
    const at = order.size;
    order.set(path, at);
    stack.push(path);
    let low = at;
    for (const next of imports.get(path) ?? []) {
      if (!imports.has(next)) continue;
      if (!order.has(next)) low = Math.min(low, visit(next));
      else if (stack.includes(next)) low = Math.min(low, lowest.get(next) ?? order.get(next) ?? low);
    }
    lowest.set(path, low);
    if (low < at) return low;
    const group = stack.splice(stack.indexOf(path)).toSorted();
    if (group.length > 1)
      cycles.push(`${group.join(', ')} import each other: move what they share to a file of its own`);
    return low;
  };
  for (const { path } of all) if (!order.has(path)) visit(path);
  return cycles;
}

describe('rules', () => {
  it('modules import in one direction', () => {
    const faults = production.flatMap((file) => {
      const allowed = allowedImports[file.module];
      if (allowed === undefined) return [];
      return importsOf(file)
        .map((specifier) => importedModule(file, specifier))
        .filter((module) => module !== undefined && module !== file.module && !allowed.includes(module))
        .map(
          (module) =>
            `${file.path} imports ${String(module)}: declare an interface in src/ports and have main.ts pass it in`,
        );
    });
    expect(faults).toEqual([]);
  });

  it('files have no import cycles of values', () => {
    expect(valueCycles(production)).toEqual([]);
  });

  it('an import cycle of values is found, and a cycle of types is ignored', () => {
    const file = (path: string, text: string): SourceFile => ({ path, module: 'raft', text });
    const cycle = [
      file('raft/a.ts', "import { type B, b } from './b.ts';"),
      file('raft/b.ts', "import {\n  c,\n} from './c.ts';"),
      file('raft/c.ts', "export { a } from './a.ts';"),
    ];
    expect(valueCycles(cycle)).toEqual([
      'raft/a.ts, raft/b.ts, raft/c.ts import each other: move what they share to a file of its own',
    ]);
    const types = [
      file('raft/a.ts', "import type { B } from './b.ts';\nimport { type C } from './b.ts';"),
      file('raft/b.ts', "import { a } from './a.ts';"),
    ];
    expect(valueCycles(types)).toEqual([]);
  });

  it('pure modules use no I/O, clock, timers or randomness', () => {
    const faults = production
      .filter(({ module }) => pureModules.has(module))
      .flatMap((file) => {
        const nodes = importsOf(file)
          .filter((specifier) => specifier.startsWith('node:'))
          .map((specifier) => `${file.path} imports ${specifier}: declare a port in src/ports`);
        const code = withoutComments(file.text);
        const uses = impure
          .filter(([pattern]) => pattern.test(code))
          .map(([, instead]) => `${file.path} uses ${instead}`);
        return [...nodes, ...uses];
      });
    expect(faults).toEqual([]);
  });

  it('packages are not imported dynamically', () => {
    const faults = production.flatMap(({ path, text }) =>
      [...text.matchAll(/await import\('([^.'][^']*)'\)/g)]
        .filter((match) => match[1]?.startsWith('node:') !== true)
        .map(
          (match) =>
            `${path} imports ${match[1] ?? ''}: a bundled CommonJS package then has no named exports; ` +
            'import it statically in a module of its own, and import that module dynamically',
        ),
    );
    expect(faults).toEqual([]);
  });

  it('files have one subject', () => {
    const faults = production
      .filter(({ path }) => !path.startsWith('wire/gen/'))
      .filter(({ path, text }) => text.split('\n').length > MAX_LINES && longFiles[path] === undefined)
      .map(
        ({ path, text }) =>
          `${path} has ${text.split('\n').length} lines, more than ${MAX_LINES}: split it by subject`,
      );
    expect(faults).toEqual([]);
  });

  it('these rules cover every module', () => {
    const known = new Set([...Object.keys(allowedImports), 'cli', 'sim', 'workers', '']);
    expect([...new Set(files.map(({ module }) => module))].filter((module) => !known.has(module))).toEqual(
      [],
    );
  });

  it('no file contains an absolute path of a machine', () => {
    // Written in such a way that this line does not match.
    const homes = /[/](?:(?:home|Users)[/][a-z]|(?:work|root)[/])/;
    const faults = files
      .filter(({ text }) => homes.test(text))
      .map(({ path }) => `${path}: make the path relative or take it as an argument`);
    expect(faults).toEqual([]);
  });

  it('the files named in docs/architecture.md exist', () => {
    const text = readFileSync(join(root, 'docs', 'architecture.md'), 'utf8');
    const known = new Set(files.map(({ path }) => path));
    const named = [...text.matchAll(/`([a-z0-9-]+\/[a-z0-9/-]+\.ts)`/g)].map(
      (match) => match[1]?.replace(/^src\//, '') ?? '',
    );
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((path) => !known.has(path))).toEqual([]);
  });

  it('the documentation is linked from the README', () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    const missing = readdirSync(join(root, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .filter((name) => !readme.includes(`docs/${name}`));
    expect(missing).toEqual([]);
  });
});

function withoutComments(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|\s)\/\/.*$/gm, '$1')
    .replace(/'(?:[^'\\\n]|\\.)*'|`[^`]*`/g, "''");
}
