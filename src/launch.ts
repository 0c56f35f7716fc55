/**
 * Loads the server's bundle with the code cache that V8 created at build time. Without it, each start compiles a
 * megabyte of source, which takes half of its processor time. The cache is in the folder of the bundle. A start only
 * reads it and uses no cache from another place, because V8 runs cached code without checks. If the cache is of another
 * Node.js version or other V8 flags, the source is compiled instead.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

/** Hash of the bundle, set by the build. It is needed because V8 compares only the length of a source. */
declare const BUILD_ID: string;

type Require = (specifier: string) => unknown;

interface LoadedModule {
  exports: unknown;
}

type ModuleFunction = (
  exports: unknown,
  require: Require,
  module: LoadedModule,
  filename: string,
  folder: string,
) => void;

const fromPackages: Require = createRequire(__filename);

// Node.js contains cached code of its own modules, which V8 refuses once a flag has changed. What each start needs is
// loaded before that. `cluster` is needed by each listening socket.
for (const name of ['cluster', 'dns', 'http', 'net', 'os', 'perf_hooks', 'timers/promises', 'zlib'])
  fromPackages(`node:${name}`);

/**
 * V8 compares its flags with those of cached code. So they are set before any code is loaded, and again before its cache
 * is stored, because src/cli/heap-growth.ts changes one.
 */
export function setFlags(): void {
  // The young generation is small and collected often, so parallel scavenging costs more than it saves.
  setFlagsFromString('--no-parallel-scavenge');
  // The live heap is small compared with the buffers of requests and values, but V8 sets the limit for both from the heap
  // size only. It marked the whole heap after every 18 MB of buffers, which took a quarter of the processor time of large
  // transactions. With a limit of four times the live heap, the maximum that V8 itself uses, it does so a fifth as often.
  setFlagsFromString('--heap-growing-percent=300');
}
setFlags();

/** Node.js modules that are loaded at their first use. Not every run needs them, and each takes milliseconds. */
const lazyModules: ReadonlySet<string> = new Set([
  'node:crypto',
  'node:dns/promises',
  'node:https',
  'node:tls',
  'node:worker_threads',
]);

/** The loaded scripts by file name in the bundle. The build stores their code cache. */
export const scripts = new Map<string, Script>();

/** The folder of the code cache of this bundle for this Node.js version. */
export const codeFolder = join(__dirname, 'code', `${BUILD_ID}-${process.version}-${process.arch}`);

/** Runs a file of the bundle. @param path absolute path */
export function load(path: string): void {
  const module: LoadedModule = { exports: {} };
  compile(path)(module.exports, fromOutside, module, path, dirname(path));
}

function fromOutside(specifier: string): unknown {
  if (!lazyModules.has(specifier)) return fromPackages(specifier);
  const loaded = (): object => fromPackages(specifier) as object;
  return new Proxy(
    {},
    {
      get: (_, name) => Reflect.get(loaded(), name) as unknown,
      // Needed by code that copies the exports of a module.
      ownKeys: () => Reflect.ownKeys(loaded()),
      getOwnPropertyDescriptor: (_, name) => {
        const descriptor = Reflect.getOwnPropertyDescriptor(loaded(), name);
        return descriptor === undefined ? undefined : { ...descriptor, configurable: true };
      },
    },
  );
}

function compile(path: string): ModuleFunction {
  const name = basename(path);
  // It is a function of a module, added by the build. It has only ASCII characters, so no decoding is needed.
  const source = readFileSync(path, 'latin1');
  const cachedData = compiledCode(name);
  const script = new Script(
    source,
    cachedData === undefined ? { filename: path } : { filename: path, cachedData },
  );
  scripts.set(name, script);
  return script.runInThisContext() as ModuleFunction;
}

function compiledCode(name: string): Buffer | undefined {
  try {
    return readFileSync(codeFile(name));
  } catch {
    return undefined;
  }
}

/** Returns the path of the code cache of a script. */
export function codeFile(name: string): string {
  return join(codeFolder, name);
}
