/**
 * Loads the bundle's modules with the code that V8 compiled when the bundle was built. Without it each start compiles
 * a megabyte of source, which is half of its processor time. The code lies in the bundle's own folder, which is only
 * read: a start writes nothing there, and takes no compiled code from anywhere else, as V8 runs it unchecked. Code of
 * another Node.js or of other V8 flags is left aside, and the source compiled instead.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

/** Names the contents of all modules: V8 compares no more than the length of a source. Filled in by the build. */
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

// Young garbage is little and collected often: handing it to other threads costs more than it saves. V8 compares its
// flags with those of compiled code, so they are set before any is loaded.
setFlagsFromString('--no-parallel-scavenge');
// The live heap is small beside the buffers that requests and values pass through, and V8 sets the limit for both by
// the heap alone: it marked the whole heap for every 18 MB of buffers, which was a quarter of the processor time of
// large transactions. At four times the live heap, the most that V8 chooses itself, it does so a fifth as often.
setFlagsFromString('--heap-growing-percent=300');

/** Modules of Node.js that are loaded at their first use: not every run needs them, and each costs milliseconds. */
const lazyModules: ReadonlySet<string> = new Set([
  'node:dns',
  'node:dns/promises',
  'node:https',
  'node:tls',
  'node:worker_threads',
]);

const fromPackages: Require = createRequire(__filename);
const modules = new Map<string, LoadedModule>();

/** The scripts loaded, by their file names in the bundle: the build stores their compiled code. */
export const scripts = new Map<string, Script>();

/** The folder of compiled code of this bundle for this Node.js. */
export const codeFolder = join(__dirname, 'code', `${BUILD_ID}-${process.version}-${process.arch}`);

/** Loads a module of the bundle once, and returns its exports. @param path absolute */
export function load(path: string): unknown {
  const known = modules.get(path);
  if (known !== undefined) return known.exports;
  const module: LoadedModule = { exports: {} };
  modules.set(path, module);
  const folder = dirname(path);
  const requireFrom: Require = (specifier) =>
    specifier.startsWith('.') ? load(resolve(folder, specifier)) : fromOutside(specifier);
  compile(path)(module.exports, requireFrom, module, path, folder);
  return module.exports;
}

function fromOutside(specifier: string): unknown {
  if (!lazyModules.has(specifier)) return fromPackages(specifier);
  const loaded = (): object => fromPackages(specifier) as object;
  return new Proxy(
    {},
    {
      get: (_, name) => Reflect.get(loaded(), name) as unknown,
      // Asked for by code that copies a module's exports.
      ownKeys: () => Reflect.ownKeys(loaded()),
      getOwnPropertyDescriptor: (_, name) => {
        const descriptor = Reflect.getOwnPropertyDescriptor(loaded(), name);
        return descriptor === undefined ? undefined : { ...descriptor, configurable: true };
      },
    },
  );
}

function compile(path: string): ModuleFunction {
  const name = path.slice(__dirname.length + 1);
  // The bundle holds ASCII alone, and this way no byte is decoded.
  const source = readFileSync(path, 'latin1');
  const cachedData = compiledCode(name);
  const script = new Script(
    `(function (exports, require, module, __filename, __dirname) {${source}\n})`,
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

/** Where the compiled code of a module lies. */
export function codeFile(name: string): string {
  return join(codeFolder, name.replaceAll('/', '-'));
}
