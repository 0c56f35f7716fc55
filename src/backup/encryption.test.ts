import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, describe, expect, it } from 'vitest';
import { BackupKey, decrypted, encrypted } from './encryption.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-encryption-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const path = join(root, 'key');

const CHUNK = 256 << 10;
const STORED_CHUNK = CHUNK + 16;
const HEADER = 40;
const key = new BackupKey(randomBytes(32));

async function all(parts: AsyncIterable<Buffer>): Promise<Buffer> {
  const list: Buffer[] = [];
  for await (const part of parts) list.push(part);
  return Buffer.concat(list);
}

function inParts(bytes: Buffer, size: number): Readable {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) parts.push(bytes.subarray(at, at + size));
  return Readable.from(parts);
}

const seal = (plain: Buffer, part = 100_000): Promise<Buffer> =>
  all(encrypted(inParts(plain, part), key, 'id'));
const unseal = (bytes: Buffer, part = 70_001, with_ = key, id = 'id'): Promise<Buffer> =>
  all(decrypted(inParts(bytes, part), with_, id));

describe('an encrypted object', () => {
  it.each([0, 1, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5])(
    'of %i bytes is decrypted to the same bytes',
    async (size) => {
      const plain = randomBytes(size);
      const sealed = await seal(plain);
      expect(sealed.length).toBe(HEADER + size + 16 * Math.max(1, Math.ceil(size / CHUNK)));
      for (const part of [1 << 20, 999]) expect((await unseal(sealed, part)).equals(plain)).toBe(true);
    },
  );

  it('has nothing of the plain bytes, and other bytes each time', async () => {
    const plain = Buffer.alloc(1000, 'secret');
    const [first, second] = [await seal(plain), await seal(plain)];
    expect(first.includes('secret')).toBe(false);
    expect(first.subarray(HEADER).equals(second.subarray(HEADER))).toBe(false);
  });

  it('that is changed in any byte is refused', async () => {
    const sealed = await seal(randomBytes(2 * CHUNK + 100));
    for (const at of [0, 8, 39, 40, 5000, HEADER + STORED_CHUNK, sealed.length - 1]) {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ 1;
      await expect(unseal(changed)).rejects.toThrow(/damaged|not an encrypted object/);
    }
  });

  it('that is cut off is refused, also between two chunks', async () => {
    const sealed = await seal(randomBytes(3 * CHUNK));
    await expect(unseal(sealed.subarray(0, HEADER + 2 * STORED_CHUNK))).rejects.toThrow(
      'cut off after 2 chunks',
    );
    for (const length of [0, 20, HEADER, HEADER + 10, HEADER + STORED_CHUNK + 1, sealed.length - 1])
      await expect(unseal(sealed.subarray(0, length))).rejects.toThrow();
  });

  it('with chunks in another order, or more of them, is refused', async () => {
    const sealed = await seal(randomBytes(3 * CHUNK));
    const chunk = (n: number): Buffer =>
      sealed.subarray(HEADER + n * STORED_CHUNK, HEADER + (n + 1) * STORED_CHUNK);
    const header = sealed.subarray(0, HEADER);
    await expect(unseal(Buffer.concat([header, chunk(1), chunk(0), chunk(2)]))).rejects.toThrow('chunk 0');
    await expect(unseal(Buffer.concat([sealed, chunk(2)]))).rejects.toThrow('chunk 2');
  });

  it('is refused with another key, and under the name of another backup', async () => {
    const sealed = await seal(randomBytes(100));
    const other = new BackupKey(randomBytes(32));
    await expect(unseal(sealed, 1000, other)).rejects.toThrow('encrypted with another key');
    await expect(unseal(sealed, 1000, key, 'another')).rejects.toThrow('chunk 0');
  });
});

describe('a key file', () => {
  it('has 32 bytes, or their text', () => {
    const secret = randomBytes(32);
    const ids = [secret, `${secret.toString('hex')}\n`, secret.toString('base64')].map((contents) => {
      writeFileSync(path, contents);
      return BackupKey.read(path).id;
    });
    expect(new Set(ids)).toEqual(new Set([new BackupKey(secret).id]));
    expect(secret.toString('hex')).not.toContain(ids[0]);
  });

  it.each(['', 'short', 'x'.repeat(64), randomBytes(31).toString('hex')])(
    'with %j is refused',
    (contents) => {
      writeFileSync(path, contents);
      expect(() => BackupKey.read(path)).toThrow(`${path} is no key`);
    },
  );
});
