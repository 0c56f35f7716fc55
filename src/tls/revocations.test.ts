import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';
import { Revocations } from './revocations.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-crl-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const ENTRIES = 30_000;
const file = join(root, 'list.crl');

function der(tag: number, ...contents: Buffer[]): Buffer {
  const bytes = Buffer.concat(contents);
  const length = Buffer.alloc(5);
  length[0] = 0x84;
  length.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([Buffer.from([tag]), length, bytes]);
}

function serialOf(n: number): Buffer {
  const serial = Buffer.alloc(16, 0x5a);
  serial.writeUInt32BE(n, 12);
  return serial;
}

/** A list in PEM whose entries have the serial numbers from `first` on. */
function listFrom(first: number): string {
  const time = der(0x17, Buffer.from('261122000000Z'));
  const entries = Array.from({ length: ENTRIES }, (_, n) => der(0x30, der(0x02, serialOf(first + n)), time));
  const empty = der(0x30);
  const list = der(0x30, der(0x30, empty, empty, time, der(0x30, ...entries)), empty, der(0x03));
  const lines = list.toString('base64').replace(/.{64}/g, '$&\n');
  return `-----BEGIN X509 CRL-----\n${lines}\n-----END X509 CRL-----\n`;
}

const lists = [listFrom(0), listFrom(ENTRIES)] as const;
const certificate = (n: number): { serialNumber: string } => ({
  serialNumber: serialOf(n).toString('hex').toUpperCase(),
});

function write(list: string): void {
  writeFileSync(file, list);
  utimesSync(file, new Date(), new Date(Date.now() + 1000));
}

/** Counts the turns of the event loop until the promise resolves. */
async function turnsOf(promise: Promise<unknown>): Promise<number> {
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  await promise;
  isOver = true;
  return turns;
}

it('reads a long list that has changed over many turns of the event loop', async () => {
  write(lists[0]);
  const revocations = new Revocations(file);
  expect(await revocations.refusalSoon([certificate(7)])).toContain('revoked');
  write(lists[1]);
  const refusals = [7, ENTRIES + 7, ENTRIES + 8].map((n) => revocations.refusalSoon([certificate(n)]));
  expect(await turnsOf(Promise.all(refusals))).toBeGreaterThan(ENTRIES / 2000);
  expect((await Promise.all(refusals)).map((refusal) => refusal !== undefined)).toEqual([false, true, true]);
});

it('judges nothing by the list before while a new one is read', async () => {
  write(lists[0]);
  const revocations = new Revocations(file);
  write(lists[1]);
  const first = revocations.refusalSoon([certificate(ENTRIES + 1)]);
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  expect(revocations.isCurrent).toBe(false);
  const second = revocations.refusalSoon([certificate(ENTRIES + 2)]);
  expect(revocations.refusal([certificate(ENTRIES + 3)])).toContain('revoked');
  expect(await first).toContain('revoked');
  expect(await second).toContain('revoked');
  expect(revocations.refusal([certificate(ENTRIES + 4)])).toContain('revoked');
});

it('has read a changed list over many turns before a connection needs it', async () => {
  write(lists[0]);
  const revocations = new Revocations(file);
  write(lists[1]);
  expect(await turnsOf(revocations.refresh())).toBeGreaterThan(ENTRIES / 2000);
  // Soon after a change the file may change again without a sign of it.
  await vi.waitFor(async () => {
    await revocations.refresh();
    expect(revocations.isCurrent).toBe(true);
  });
  expect(revocations.refusal([certificate(ENTRIES + 7)])).toContain('revoked');
  expect(revocations.refusal([certificate(7)])).toBeUndefined();
});

it('does not read a damaged list again and again', async () => {
  write(lists[0]);
  const revocations = new Revocations(file);
  write('nothing');
  await revocations.refresh();
  expect(await turnsOf(revocations.refresh())).toBeLessThan(3);
  expect(revocations.isCurrent).toBe(false);
  expect(revocations.refusal([certificate(7)])).toContain('not a certificate revocation list');
  write(lists[1]);
  expect(revocations.refusal([certificate(7)])).toBeUndefined();
  await revocations.refresh();
});

it('refuses all certificates while the file is no list', async () => {
  write(lists[0]);
  const revocations = new Revocations(file);
  write('nothing');
  expect(await revocations.refusalSoon([certificate(-1 >>> 0)])).toContain(
    'not a certificate revocation list',
  );
  write(lists[1]);
  expect(await revocations.refusalSoon([certificate(7)])).toBeUndefined();
});
