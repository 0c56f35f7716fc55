/**
 * `pack-release.mjs VERSION FOLDER BOM` fills FOLDER with what runs a server: the bundle, and the packages that are not
 * in it, without their sources. Writes the bill of materials of these files to BOM, in the CycloneDX format.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const [version, folder, bom] = process.argv.slice(2);
const platform = `${process.platform}-${process.arch}`;

// A binary that scripts/rocksdb.mjs has built is loaded instead of the prebuilt one.
const built = 'build/Release';
const hasBuilt = existsSync(join(root, 'node_modules/@nxtedition/rocksdb', built));

/** The native checksum of the log, without its JavaScript: `src/storage/wal/checksum.ts` loads the binary. */
const checksums = readdirSync(join(root, 'node_modules/@node-rs'))
  .filter((name) => name.startsWith(`crc32-${platform}`))
  .map((name) => [`@node-rs/${name}`, [`${name.replace('crc32-', 'crc32.')}.node`]]);

/** The packages beside the bundle, with their files that are loaded. The storage engine is native code. */
const BESIDE = {
  '@node-rs/crc32': ['LICENSE'],
  ...Object.fromEntries(checksums),
  '@nxtedition/rocksdb': ['LICENSE', 'binding.js', hasBuilt ? built : `prebuilds/${platform}`],
  'node-gyp-build': ['LICENSE', 'index.js', 'node-gyp-build.js'],
};

const read = (path) => JSON.parse(readFileSync(path, 'utf8'));
const own = read(join(root, 'package.json'));

mkdirSync(folder, { recursive: true });
for (const name of ['dist', 'README.md', 'LICENSE', 'CHANGELOG.md'])
  cpSync(join(root, name), join(folder, name), { recursive: true });

const beside = [];
for (const [name, files] of Object.entries(BESIDE)) {
  const from = join(root, 'node_modules', name);
  const to = join(folder, 'node_modules', name);
  for (const file of files) cpSync(join(from, file), join(to, file), { recursive: true });
  const { main, license, version: installed } = read(join(from, 'package.json'));
  writeJson(join(to, 'package.json'), { name, version: installed, main, license });
  beside.push(`${name}@${installed}`);
}
const { name, description, license, engines, bin } = own;
writeJson(join(folder, 'package.json'), {
  name,
  version,
  description,
  license,
  type: 'module',
  engines,
  bin,
});

const shipped = new Set([...read(join(root, 'dist/packages.json')), ...beside]);
const all = JSON.parse(execFileSync('npm', ['run', '--silent', 'sbom'], { cwd: root, encoding: 'utf8' }));
const components = all.components.filter((component) => shipped.has(component['bom-ref']));
const missing = [...shipped].filter((each) => !components.some((component) => component['bom-ref'] === each));
if (missing.length > 0) throw new Error(`the lockfile has no production package ${missing.join(', ')}`);
const self = all.metadata.component['bom-ref'];
const dependencies = all.dependencies
  .filter(({ ref }) => ref === self || shipped.has(ref))
  .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((each) => shipped.has(each)) }));
writeJson(bom, { ...all, components, dependencies });

function writeJson(path, value) {
  writeFileSync(path, `${JSON.stringify(value, undefined, 2)}\n`);
}
