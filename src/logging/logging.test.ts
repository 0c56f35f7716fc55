import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { consoleLine, jsonLine, timestamp } from './line-format.ts';
import { Logging } from './logging.ts';
import { Sampler } from './sampler.ts';

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'logging-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const line = {
  level: 'info',
  wallMs: 1_795_215_600_000.125,
  caller: 'server/member.ts',
  message: 'hello "you"',
  fields: { id: 18_446_744_073_709_551_615n, urls: ['a', 'b'], error: new Error('no'), absent: undefined },
} as const;

describe('lines', () => {
  it('are JSON in the order level, ts, caller, msg, fields', () => {
    expect(jsonLine(line)).toBe(
      `{"level":"info","ts":"${timestamp(line.wallMs)}","caller":"server/member.ts","msg":"hello \\"you\\"",` +
        `"id":"18446744073709551615","urls":["a","b"],"error":"no"}\n`,
    );
  });

  it('are columns separated by tabs in console format', () => {
    expect(consoleLine({ ...line, fields: { urls: ['a', 'b'] } })).toBe(
      `${timestamp(line.wallMs)}\tinfo\tserver/member.ts\thello "you"\t{"urls": ["a", "b"]}\n`,
    );
    expect(consoleLine({ ...line, fields: undefined }).split('\t')).toHaveLength(4);
  });

  it('have microseconds and the offset of the time zone', () => {
    expect(timestamp(1_000.25)).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}250(Z|[+-]\d{4})$/);
  });
});

describe('Logging', () => {
  it('writes to each file at or above its level', () => {
    const paths = [join(folder, 'a.log'), join(folder, 'b.log')];
    const logging = new Logging({ level: 'warn', format: 'json', outputs: paths });
    const logger = logging.for('x/y.ts');
    logger.info('quiet');
    logger.warn('loud', { n: 1 });
    logging.close();
    for (const path of paths) {
      expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({
        level: 'warn',
        caller: 'x/y.ts',
        msg: 'loud',
        n: 1,
      });
    }
  });

  it('rotates a full file and keeps the configured number of backups', () => {
    const path = join(folder, 'etcd.log');
    const rotation = { maxSizeMegabytes: 1, maxAgeDays: 0, maxBackups: 1, localTime: false, compress: false };
    const logging = new Logging({ level: 'info', format: 'json', outputs: [path], rotation });
    const long = 'x'.repeat(600_000);
    for (let i = 0; i < 4; i++) logging.write('info', 'a', long);
    logging.close();
    const names = readdirSync(folder).sort();
    expect(names.filter((name) => name !== 'etcd.log')).toHaveLength(1);
    expect(names[0]).toMatch(/^etcd-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.log$/);
  });
});

it('a message that is repeated very often is sampled', () => {
  const sampler = new Sampler();
  let written = 0;
  for (let i = 0; i < 1_000; i++) if (sampler.admits('warn', 'storm', 5)) written++;
  expect(written).toBe(109);
  expect(sampler.admits('warn', 'other', 5)).toBe(true);
  expect(sampler.admits('warn', 'storm', 1_006)).toBe(true);
});
