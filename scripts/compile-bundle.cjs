// Stores the V8 code cache of the bundle after a server has started, so that it contains the functions that a start
// needs. scripts/build.mjs runs it. Run it again with each other Node.js version with which the bundle should start fast.
const { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');

const dist = join(__dirname, '../dist');
const { codeFile, codeFolder, load, scripts } = require(join(dist, 'launch.js'));
const READY = 'ready to serve client requests';
const LIMIT_MS = 60_000;

// Compiled code that is there already would be kept as it is.
rmSync(codeFolder, { recursive: true, force: true });
const folder = mkdtempSync(join(tmpdir(), 'keystead-compile-'));
const log = join(folder, 'log');
const url = 'http://127.0.0.1:0';
process.argv.splice(
  2,
  process.argv.length,
  ...[
    `--data-dir=${join(folder, 'data')}`,
    `--listen-client-urls=${url}`,
    '--advertise-client-urls=http://127.0.0.1:1',
  ],
  ...[`--listen-peer-urls=${url}`, '--initial-advertise-peer-urls=http://127.0.0.1:2'],
  ...['--initial-cluster=default=http://127.0.0.1:2', `--log-outputs=${log}`],
);
for (const name of Object.keys(process.env)) if (name.startsWith('ETCD_')) delete process.env[name];
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const tooLong = setTimeout(() => fail(`no "${READY}" within ${LIMIT_MS} ms`), LIMIT_MS);
const poll = setInterval(() => {
  if (readLog().includes(READY)) store();
}, 10);
load(join(dist, 'server.js'));

function store() {
  clearTimeout(tooLong);
  clearInterval(poll);
  // Files of the server are private, but these must be readable for every user that runs the bundle.
  process.umask(0o022);
  mkdirSync(codeFolder, { recursive: true });
  for (const [name, script] of scripts) {
    writeFileSync(`${codeFile(name)}.new`, script.createCachedData());
    renameSync(`${codeFile(name)}.new`, codeFile(name));
  }
  process.exit(0);
}

function readLog() {
  try {
    return readFileSync(log, 'utf8');
  } catch {
    // Not there yet.
    return '';
  }
}

function fail(reason) {
  process.stdout.write(`${readLog()}\ncompile-bundle: ${reason}\n`);
  process.exit(1);
}
