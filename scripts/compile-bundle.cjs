// Stores the V8 code cache of the bundle, with the functions that a server in use needs. For this, this process is one of
// two members: it is started again after a kill, reads its log, takes part in elections, catches up with the other
// member, serves requests as a follower and becomes the leader. A function that is not in the cache is compiled when it
// is first called, which takes several times as long as reading it from the cache, and the members of a cluster that are
// started at the same time share the processors.
// scripts/build.mjs runs it. Run it again with each other Node.js version with which the bundle should start fast.
const { execFile, spawn } = require('node:child_process');
const { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } = require('node:fs');
const { createServer } = require('node:net');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { promisify } = require('node:util');

const dist = join(__dirname, '../dist');
const { codeFile, codeFolder, load, scripts, setFlags } = require(join(dist, 'launch.js'));
const LIMIT_MS = 300_000;

// Compiled code that is there already would be kept as it is.
rmSync(codeFolder, { recursive: true, force: true });
for (const name of Object.keys(process.env)) if (name.startsWith('ETCD')) delete process.env[name];
const folder = mkdtempSync(join(tmpdir(), 'keystead-compile-'));
const children = new Set();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});
setTimeout(() => fail(`not finished within ${LIMIT_MS} ms`), LIMIT_MS);
run().catch((error) => fail(error.stack));

async function run() {
  const members = await Promise.all(['this', 'other'].map(async (name) => ({ name, ...(await freeUrls()) })));
  const cluster = members.map(({ name, peer }) => `${name}=${peer}`).join(',');
  const [own, other] = members;
  const before = start(own, cluster);
  start(other, cluster);
  await Promise.all(members.map(healthy));
  await bench(other, 'put', '--total=100', '--value-size=20000');
  const ended = new Promise((resolve) => before.once('exit', resolve));
  before.kill('SIGKILL');
  await ended;

  process.argv.splice(2, process.argv.length, ...flagsOf(own, cluster));
  load(join(dist, 'server.js'));
  // The other member has no quorum now, so these requests may time out.
  await bench(other, 'put', '--total=200', '--value-size=20000').catch(() => undefined);
  await healthy(own);
  await bench(own, 'put', '--total=50', '--value-size=60000');
  await bench(own, 'watch', '--total=100');
  await bench(own, 'list', '--total=5', '--keys=1000');
  await lead(members);
  await bench(own, 'txn', '--total=200');
  await healthy(other);
  store();
}

function flagsOf({ name, client, peer }, cluster) {
  return [
    ...[`--name=${name}`, `--data-dir=${join(folder, name)}`, `--log-outputs=${join(folder, `${name}.log`)}`],
    ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
    ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`],
    `--initial-cluster=${cluster}`,
  ];
}

function start(member, cluster) {
  const child = spawn(process.execPath, [join(dist, 'keystead.js'), ...flagsOf(member, cluster)], {
    stdio: 'ignore',
  });
  children.add(child);
  return child;
}

/** Makes this process the leader. */
async function lead([own, other]) {
  const { header } = await post(own, 'maintenance/status');
  for (;;) {
    // Refused if the other member is not the leader.
    await post(other, 'maintenance/transfer-leadership', { targetID: header.member_id }).catch(
      () => undefined,
    );
    for (let checks = 0; checks < 50; checks++) {
      const { leader } = await post(own, 'maintenance/status');
      if (leader === header.member_id) return;
      await sleep(20);
    }
  }
}

async function post({ client }, path, message = {}) {
  const response = await fetch(`${client}/v3/${path}`, { method: 'POST', body: JSON.stringify(message) });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return JSON.parse(text);
}

/** Runs in a process of its own, so that only what a server uses is compiled here. */
async function bench({ client }, operation, ...flags) {
  const args = ['bench', operation, `--endpoints=${client}`, '--command-timeout=60', ...flags];
  await promisify(execFile)(process.execPath, [join(dist, 'keystead.js'), ...args]);
}

async function healthy({ client }) {
  for (;;) {
    try {
      const { health } = await (await fetch(`${client}/health`)).json();
      if (health === 'true') return;
    } catch {
      // Not listening yet.
    }
    await sleep(20);
  }
}

async function freeUrls() {
  const [client, peer] = await Promise.all([freePort(), freePort()]);
  return { client: `http://127.0.0.1:${client}`, peer: `http://127.0.0.1:${peer}` };
}

function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

function store() {
  // Files of the server are private, but these must be readable for every user that runs the bundle.
  process.umask(0o022);
  mkdirSync(codeFolder, { recursive: true });
  // The cache contains the flags of this moment.
  setFlags();
  for (const [name, script] of scripts) {
    writeFileSync(`${codeFile(name)}.new`, script.createCachedData());
    renameSync(`${codeFile(name)}.new`, codeFile(name));
  }
  process.exit(0);
}

function logOf(name) {
  try {
    return readFileSync(join(folder, `${name}.log`), 'utf8');
  } catch {
    // Not there yet.
    return '';
  }
}

function fail(reason) {
  process.stdout.write(`${logOf('this')}\ncompile-bundle: ${reason}\n`);
  process.exit(1);
}
