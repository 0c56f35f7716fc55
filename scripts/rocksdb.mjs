/**
 * `rocksdb.mjs` makes sure that the storage engine's native binary loads on this machine. The npm package has prebuilt
 * binaries for few platforms. Elsewhere, for example on linux-arm64, the binary is built from the sources in the package.
 *
 *   node scripts/rocksdb.mjs                 builds only if no binary loads
 *   node scripts/rocksdb.mjs --from-source   builds in any case
 *   node scripts/rocksdb.mjs --check         builds nothing; the exit code is 1 if no binary loads
 *
 * A build takes about ten minutes of processor time. The result is kept in .cache/rocksdb, so that `npm ci` does not lose it.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const packageFolder = join(root, 'node_modules/@nxtedition/rocksdb');
const platform = `${process.platform}-${process.arch}`;
const glibc = process.report.getReport().header.glibcVersionRuntime !== undefined;

/** The instructions that every server processor has. The checksums of RocksDB need those of arm64 at compile time. */
const MACHINE_FLAGS = { x64: ['-march=x86-64-v2', '-mpclmul'], arm64: ['-march=armv8-a+crc+crypto'] };

/** The folder where node-gyp-build looks for a binary that was built on this machine. */
const INSTALLED = join(packageFolder, 'build/Release');

const SOURCES_PER_UNIT = 12;
const ZSTD = 'libzstd.so.1';

const mode = process.argv[2];
if (mode !== '--from-source' && loads()) process.exit(0);
if (mode === '--check') process.exit(1);
if (process.platform !== 'linux')
  fail(`There is no prebuilt RocksDB for ${platform}, and this script builds it only on Linux.`);
const kept = join(root, '.cache/rocksdb', keyOfBuild());
if (!existsSync(kept)) build();
cpSync(kept, INSTALLED, { recursive: true });
if (!loads()) fail(`RocksDB was built, but the binary does not load: ${loadError()}`);

function loads() {
  return loadError() === undefined;
}

/** Loads the binary in a process of its own, because a binary of another C library may end the process. */
function loadError() {
  const { status, stderr } = spawnSync(process.execPath, ['-e', `require('${packageFolder}/binding.js')`], {
    encoding: 'utf8',
  });
  return status === 0 ? undefined : stderr;
}

/** One build serves all versions of Node.js, because the binary uses only the stable interface of Node.js. */
function keyOfBuild() {
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'));
  const [{ defines, cflags_cc: flags }] = gyp().targets;
  const how = createHash('sha256')
    .update(JSON.stringify([defines, flags]))
    .digest('hex');
  return `${version}-${platform}-${glibc ? 'glibc' : 'musl'}-${how.slice(0, 12)}`;
}

function build() {
  for (const [tool, what] of [
    ['g++', 'a C++ compiler'],
    ['make', 'make'],
    ['python3', 'Python 3'],
  ])
    if (spawnSync(tool, ['--version']).status !== 0)
      fail(
        `There is no prebuilt RocksDB for ${platform} that loads here, and ${what} is missing to build it.\n` +
          'On Debian: apt-get install g++ make python3 libzstd-dev',
      );
  zstdLibrary();
  const jobs = process.env.ROCKSDB_JOBS ?? String(availableParallelism());
  console.error(
    `keystead: building RocksDB for ${platform} from its sources, with ${jobs} jobs. This takes long, and only once.`,
  );
  const started = Date.now();
  const folder = mkdtempSync(join(tmpdir(), 'keystead-rocksdb-'));
  try {
    for (const name of ['deps', 'binding.cc', 'max_rev_operator.h', 'util.h', 'package.json'])
      cpSync(join(packageFolder, name), join(folder, name), { recursive: true });
    const { targets } = gyp();
    // Most of the time is spent on headers, which many sources in one unit share. RocksDB supports such builds.
    const [target] = targets;
    const sources = target.sources.splice(0);
    for (let first = 0; first < sources.length; first += SOURCES_PER_UNIT) {
      const unit = `unit-${first / SOURCES_PER_UNIT}.cc`;
      const included = sources.slice(first, first + SOURCES_PER_UNIT);
      writeFileSync(join(folder, unit), included.map((name) => `#include "${name}"\n`).join(''));
      target.sources.push(unit);
    }
    writeFileSync(join(folder, 'binding.gyp'), JSON.stringify({ targets }, undefined, 2));
    execFileSync(process.execPath, [nodeGyp(), 'rebuild', '--jobs', jobs, ...headers()], {
      cwd: folder,
      stdio: ['ignore', process.env.ROCKSDB_VERBOSE === undefined ? 'ignore' : 'inherit', 'inherit'],
    });
    const built = join(folder, 'build/Release/leveldown.node');
    execFileSync('strip', ['--strip-unneeded', built]);
    mkdirSync(`${kept}.new`, { recursive: true });
    copyFileSync(built, join(`${kept}.new`, 'leveldown.node'));
    copyFileSync(zstdLibrary(), join(`${kept}.new`, ZSTD));
    renameSync(`${kept}.new`, kept);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  console.error(`keystead: RocksDB built in ${Math.round((Date.now() - started) / 1000)} s`);
}

/**
 * The build of one module from the sources that the package lists. The package's own build files cannot be used: they
 * name one model of x64 processors, and libraries in folders of x64. Those libraries serve asynchronous reads, which the
 * binding does not have.
 */
function gyp() {
  const listed = readFileSync(join(packageFolder, 'deps/rocksdb/rocksdb.gyp'), 'utf8');
  const sources = [...listed.matchAll(/^\s*"([\w/.]+\.cc)",?\s*$/gm)]
    .map(([, name]) => `deps/rocksdb/${name}`)
    .filter((name) => !name.includes('/port/win/'));
  const flags = ['-std=c++20', '-frtti', '-fexceptions', ...(MACHINE_FLAGS[process.arch] ?? [])];
  const remove = ['-fno-rtti', '-fno-exceptions', '-std=gnu++17', '-std=gnu++20'];
  return {
    targets: [
      {
        target_name: 'leveldown',
        defines: [
          'ZSTD=1',
          'ZSTD_STATIC_LINKING_ONLY=1',
          'NIOSTATS_CONTEXT=1',
          'NPERF_CONTEXT=1',
          'OS_LINUX=1',
          'ROCKSDB_PLATFORM_POSIX=1',
          'ROCKSDB_LIB_IO_POSIX=1',
          'ROCKSDB_FALLOCATE_PRESENT=1',
          'ROCKSDB_MALLOC_USABLE_SIZE=1',
          'ROCKSDB_RANGESYNC_PRESENT=1',
          'ROCKSDB_SCHED_GETCPU_PRESENT=1',
          'HAVE_UINT128_EXTENSION=1',
          'HAVE_ALIGNED_NEW=1',
          // Only glibc has these.
          ...(glibc ? ['ROCKSDB_BACKTRACE=1', 'ROCKSDB_PTHREAD_ADAPTIVE_MUTEX=1'] : []),
        ],
        include_dirs: [
          realpathSync(join(root, 'node_modules/napi-macros')),
          'deps/rocksdb/rocksdb',
          'deps/rocksdb/rocksdb/include',
        ],
        'cflags_cc!': remove,
        cflags_cc: [...flags, '-w'],
        libraries: ['-lzstd'],
        // The static library of Debian is not compiled for modules, so the shared one comes into the same folder.
        ldflags: ["-Wl,-rpath,'$$ORIGIN'"],
        sources: ['binding.cc', ...sources],
      },
    ],
  };
}

function zstdLibrary() {
  const [library, development] = [ZSTD, 'libzstd.so'].map((name) =>
    execFileSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim(),
  );
  if (!existsSync(library) || !existsSync(development))
    fail('The library zstd is missing. On Debian: apt-get install libzstd-dev');
  return library;
}

/** node-gyp is part of npm. */
function nodeGyp() {
  const npm = execFileSync('npm', ['root', '--global'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();
  const path = join(npm, 'npm/node_modules/node-gyp/bin/node-gyp.js');
  if (!existsSync(path)) fail(`npm's node-gyp is missing: ${path}`);
  return path;
}

/** The headers that are installed with Node.js. Without them node-gyp downloads them. */
function headers() {
  const installation = dirname(dirname(realpathSync(process.execPath)));
  return existsSync(join(installation, 'include/node/node_api.h')) ? ['--nodedir', installation] : [];
}

function fail(message) {
  console.error(`keystead: ${message}`);
  process.exit(1);
}
