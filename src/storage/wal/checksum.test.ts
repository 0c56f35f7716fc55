import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { crc32c as portableCrc32c } from '../../lib/crc32c.ts';
import { crc32c, loadNativeCrc32c, makeCrc32c, nativePackages, type Crc32c } from './checksum.ts';

const bytes = Buffer.from(Array.from({ length: 140_000 }, (_, n) => (n * 151 + (n >>> 8)) & 0xff));
/** Below and above the limit for the native function, and of one of the largest values. */
const lengths = [0, 1, 100, 2047, 2048, 2049, 4099, 65_536, 131_000];

/** The platforms of the image and of the archives have a binary. Other platforms may have none. */
const hasBinary = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);

describe.runIf(hasBinary)('the native CRC-32C', () => {
  const native = loadNativeCrc32c(nativePackages(process.platform, process.arch));

  it('is installed, and returns the check values of RFC 3720, B.4', () => {
    expect(native?.(0, Buffer.alloc(32))).toBe(0x8a9136aa);
    expect(native?.(0, Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
    expect(native?.(0, Buffer.from('123456789'))).toBe(0xe3069283);
  });

  it('returns what the portable one returns, at each place in memory, and continues a checksum', () => {
    for (const length of lengths)
      for (let start = 0; start < 9; start++) {
        const part = bytes.subarray(start, start + length);
        const expected = portableCrc32c(0xfedcba98, part);
        expect(native?.(0xfedcba98, part)).toBe(expected);
        expect(native?.(0xfedcba98, new Uint8Array(part.buffer, part.byteOffset, length))).toBe(expected);
      }
  });

  it('loads in several threads of a process', async () => {
    const script = `
      const { parentPort, workerData } = require('node:worker_threads');
      for (const name of workerData.names)
        try {
          parentPort.postMessage(require('node:module').createRequire(workerData.from)(name).crc32c(Buffer.alloc(32), 0));
        } catch (error) {
          if (error.code !== 'MODULE_NOT_FOUND') throw error;
        }`;
    const workerData = { names: nativePackages(process.platform, process.arch), from: import.meta.url };
    const answers = [1, 2].map(
      () =>
        new Promise((resolve, reject) => {
          new Worker(script, { eval: true, workerData }).once('message', resolve).once('error', reject);
        }),
    );
    expect(await Promise.all(answers)).toEqual([0x8a9136aa, 0x8a9136aa]);
  });
});

describe('the checksum of the log', () => {
  const without = makeCrc32c(() => undefined);

  it('is the same with and without a native function', () => {
    for (const length of lengths) {
      const part = bytes.subarray(3, 3 + length);
      const expected = portableCrc32c(7, part);
      expect(crc32c(7, part)).toBe(expected);
      expect(without(7, part)).toBe(expected);
    }
  });

  it('loads the native function once, at the first long input', () => {
    let loads = 0;
    const native: Crc32c = () => 42;
    const checksum = makeCrc32c(() => {
      loads++;
      return native;
    });
    expect(checksum(0, bytes.subarray(0, 2047))).toBe(portableCrc32c(0, bytes.subarray(0, 2047)));
    expect(loads).toBe(0);
    expect([checksum(0, bytes), checksum(0, bytes)]).toEqual([42, 42]);
    expect(loads).toBe(1);
  });

  it('looks once for a native function that does not exist', () => {
    let loads = 0;
    const checksum = makeCrc32c(() => {
      loads++;
      return loadNativeCrc32c(['@node-rs/crc32-of-no-machine']);
    });
    expect([checksum(0, bytes), checksum(0, bytes)]).toEqual(Array(2).fill(portableCrc32c(0, bytes)));
    expect(loads).toBe(1);
  });

  it('uses the packages of both C libraries on Linux', () => {
    expect(nativePackages('linux', 'arm64')).toEqual([
      '@node-rs/crc32-linux-arm64-gnu',
      '@node-rs/crc32-linux-arm64-musl',
    ]);
    expect(nativePackages('darwin', 'arm64')).toEqual(['@node-rs/crc32-darwin-arm64']);
  });
});
