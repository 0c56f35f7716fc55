import { promisify } from 'node:util';
import { gunzip, gzip, constants } from 'node:zlib';
import { reasonOf } from '../lib/text.ts';
import { Status } from './status.ts';

const gunzipAsync = promisify(gunzip);
const gzipAsync = promisify(gzip);

export interface DecompressionFault {
  readonly code: Status;
  readonly message: string;
}

/**
 * Expands a gzip message in the thread pool. Expansion stops at `maxBytes`, so that a small message cannot claim more
 * memory than a large one may.
 */
export async function decompress(bytes: Buffer, maxBytes: number): Promise<Buffer | DecompressionFault> {
  try {
    return await gunzipAsync(bytes, { maxOutputLength: Math.max(maxBytes, 1) });
  } catch (error) {
    if (error instanceof RangeError) {
      return {
        code: Status.RESOURCE_EXHAUSTED,
        message: `grpc: received message after decompression larger than max ${maxBytes}`,
      };
    }
    const reason = reasonOf(error);
    return { code: Status.INTERNAL, message: `grpc: failed to decompress the received message: ${reason}` };
  }
}

/** Compresses in the thread pool, favouring speed. */
export async function compress(parts: readonly Buffer[]): Promise<Buffer> {
  return gzipAsync(Buffer.concat(parts), { level: constants.Z_BEST_SPEED });
}
