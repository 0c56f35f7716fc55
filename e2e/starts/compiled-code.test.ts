import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runCommand } from '../harness/command.ts';
import { Member } from '../harness/member.ts';
import { repositoryRoot } from '../harness/paths.ts';

const dist = join(repositoryRoot, 'dist');

/** Loads the server as the command does, and tells which scripts V8 took no compiled code for. */
const report = `
  const { codeFile, load, scripts } = require(${JSON.stringify(join(dist, 'launch.js'))});
  const { existsSync } = require('node:fs');
  process.argv.splice(1, process.argv.length, 'keystead', '--version');
  load(${JSON.stringify(join(dist, 'server.js'))});
  const taken = (name, script) => existsSync(codeFile(name)) && script.cachedDataRejected === false;
  const missed = [...scripts].filter(([name, script]) => !taken(name, script)).map(([name]) => name);
  process.on('exit', () => process.stderr.write(JSON.stringify({ loaded: scripts.size, missed })));
`;

it('the command runs the code that the build has compiled', async () => {
  const { code, stderr } = await runCommand(process.execPath, ['-e', report]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/"missed":\[\]/) as string });
});

it('code compiled with other V8 flags is left aside', async () => {
  const { code, stdout, stderr } = await runCommand(process.execPath, ['--no-opt', '-e', report]);
  expect(code).toBe(0);
  expect(stdout).toContain('etcd Version: 3.7.1');
  expect(stderr).toContain('server.js');
});

it('the file that each start loads has no package that few servers need', () => {
  const packages = { 'grpc-client': 'SubchannelAddress', yaml: 'YAMLParseError', certificate: 'AsnConvert' };
  const holders = (name: string): string[] =>
    ['server', ...Object.keys(packages)].filter((file) =>
      readFileSync(join(dist, `${file}.js`), 'utf8').includes(name),
    );
  for (const [file, name] of Object.entries(packages)) expect(holders(name)).toEqual([file]);
});

it('a start writes nothing beside the bundle', async () => {
  const before = readdirSync(dist, { recursive: true }).sort();
  const member = await Member.start({ kind: 'keystead' });
  await member.destroy();
  expect(readdirSync(dist, { recursive: true }).sort()).toEqual(before);
});
