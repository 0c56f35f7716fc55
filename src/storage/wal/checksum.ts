import { createRequire } from 'node:module';
import { crc32c as portableCrc32c } from '../../lib/crc32c.ts';

/** Continues a checksum over bytes, as `lib/crc32c.ts` does. */
export type Crc32c = (crc: number, bytes: Uint8Array) => number;

interface NativeModule {
  readonly crc32c: (bytes: Uint8Array, crc: number) => number;
}

/**
 * From so many bytes on, the native function is used. A call of it costs about as much as 500 bytes in JavaScript, and
 * each further KiB a quarter. It needs 2 MB of memory, so it is loaded when the first input of this size is seen.
 */
const NATIVE_BYTES = 2048;

const fromPackages = createRequire(import.meta.url);

/**
 * The names of the packages that may hold the binary for this machine. They are loaded directly: `@node-rs/crc32` itself
 * searches for the C library by reading files, in a diagnostic report and by running `ldd`, which takes many
 * milliseconds. npm installs the package of the right C library, and the binary of another one does not load.
 */
export function nativePackages(platform: string, architecture: string): string[] {
  if (platform === 'darwin') return [`@node-rs/crc32-darwin-${architecture}`];
  return ['gnu', 'musl'].map((library) => `@node-rs/crc32-${platform}-${architecture}-${library}`);
}

/** Loads the native function. @returns undefined if no package of `names` is installed and loads here */
export function loadNativeCrc32c(names: readonly string[]): Crc32c | undefined {
  for (const name of names) {
    try {
      const { crc32c } = fromPackages(name) as NativeModule;
      return (crc, bytes) => crc32c(bytes, crc);
    } catch {
      // Not installed, or the binary of another C library. Without any, all checksums are computed in JavaScript.
    }
  }
  return undefined;
}

/**
 * Returns a function that uses a native one for long inputs.
 *
 * @param load called at the first long input; undefined means that there is no native function
 */
export function makeCrc32c(load: () => Crc32c | undefined): Crc32c {
  let forLong: Crc32c | undefined;
  return (crc, bytes) => {
    if (bytes.length < NATIVE_BYTES) return portableCrc32c(crc, bytes);
    forLong ??= load() ?? portableCrc32c;
    return forLong(crc, bytes);
  };
}

/** The checksum of the log's records. */
export const crc32c = makeCrc32c(() => loadNativeCrc32c(nativePackages(process.platform, process.arch)));
