// Bundles src/main.ts and each worker of src/workers into one file each in dist, because one file loads faster than
// hundreds of modules. dist/keystead.js is the command. It loads the server with src/launch.ts and the V8 code cache that
// is created at the end of this build.
import { build } from 'esbuild';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');
const COMPILE_ATTEMPTS = 3;
const common = {
  absWorkingDir: root,
  platform: 'node',
  target: 'node20.9',
  legalComments: 'none',
  logLevel: 'warning',
};

/**
 * Large parts that few servers need, as files of their own: `dist/<name>.js` for each name. The file of the server is read
 * at each start.
 */
const optionalParts = {
  tracing: join(root, 'src/tracing/otel-tracing.ts'),
  yaml: join(root, 'src/config/yaml.ts'),
  certificate: join(root, 'src/tls/certificate.ts'),
  'grpc-client': createRequire(import.meta.url).resolve('@grpc/grpc-js'),
};
const loadOptionalParts = {
  name: 'optional-parts',
  setup({ onResolve }) {
    const partOf = (path) => Object.entries(optionalParts).find(([, file]) => file === path)?.[0];
    onResolve({ filter: /\.ts$|^@grpc\/grpc-js$/ }, ({ path, resolveDir, kind }) => {
      if (kind === 'entry-point') return undefined;
      const name = partOf(path.endsWith('.ts') ? resolve(resolveDir, path) : optionalParts['grpc-client']);
      return name === undefined ? undefined : { path: `./${name}.js`, external: true };
    });
  },
};

const workers = join(root, 'src/workers');
const entryPoints = { server: join(root, 'src/main.ts'), ...optionalParts };
for (const name of existsSync(workers) ? readdirSync(workers) : [])
  if (name.endsWith('.ts') && !name.endsWith('.test.ts'))
    entryPoints[name.replace(/\.ts$/, '')] = join(workers, name);

rmSync(dist, { recursive: true, force: true });
const { metafile } = await build({
  ...common,
  entryPoints,
  metafile: true,
  outdir: dist,
  bundle: true,
  // In Node.js 20 the V8 code cache works only for scripts, not for ECMAScript modules. There is one script and no chunks:
  // in CommonJS, each use of a function of another chunk would call a getter. Code that only some runs need (YAML, tools)
  // is evaluated when it is first imported, and V8 compiles it then.
  plugins: [loadOptionalParts],
  format: 'cjs',
  sourcemap: 'external',
  // The native module finds its binary relative to its own files.
  external: ['@nxtedition/rocksdb'],
  supported: { 'dynamic-import': false },
  define: { 'import.meta.url': '__fileUrl' },
  banner: { js: "const __fileUrl = require('node:url').pathToFileURL(__filename).href;" },
});
const bundled = packagesOf(Object.keys(metafile.inputs));
// The function that src/launch.ts calls. To add it at each start would copy the source twice.
const server = join(dist, 'server.js');
writeFileSync(
  server,
  `(function (exports, require, module, __filename, __dirname) {${readFileSync(server, 'utf8')}\n})`,
);

const contents = createHash('sha256');
for (const file of javascriptFiles(dist).sort())
  contents.update(relative(dist, file)).update(readFileSync(file));
await build({
  ...common,
  entryPoints: [join(root, 'src/launch.ts')],
  outdir: dist,
  bundle: true,
  format: 'cjs',
  define: { BUILD_ID: JSON.stringify(contents.digest('hex').slice(0, 16)) },
});
// The status page: its script for browsers, and the other files as they are.
const page = join(root, 'src/status/browser');
const pageFolder = join(dist, 'status-page');
await build({
  absWorkingDir: root,
  entryPoints: [join(page, 'page.ts')],
  outdir: pageFolder,
  bundle: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none',
  logLevel: 'warning',
});
for (const name of ['index.html', 'page.css', 'icon.svg'])
  copyFileSync(join(page, name), join(pageFolder, name));
writeFileSync(join(dist, 'package.json'), '{ "type": "commonjs" }\n');
writeFileSync(join(dist, 'packages.json'), `${JSON.stringify(bundled, undefined, 2)}\n`);

// Installed as a command, by the names of package.json's bin.
const command = join(dist, 'keystead.js');
writeFileSync(
  command,
  "#!/usr/bin/env node\nrequire('./launch.js').load(require('node:path').join(__dirname, 'server.js'));\n",
);
chmodSync(command, 0o755);

compileBundle();

/** It runs two members on free ports, which another process may take in between: then it is repeated. */
function compileBundle() {
  for (let attempt = 1; ; attempt++) {
    try {
      execFileSync(process.execPath, [join(root, 'scripts/compile-bundle.cjs')], {
        stdio: ['ignore', 'inherit', 'inherit'],
      });
      return;
    } catch (error) {
      if (attempt === COMPILE_ATTEMPTS) throw error;
    }
  }
}

function javascriptFiles(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.js'))
    .map((name) => join(folder, name));
}

/** The packages whose code is in the bundle, as `name@version`: for the bill of materials of a release. */
function packagesOf(files) {
  const folders = new Set(files.map((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0]));
  folders.delete(undefined);
  return [...folders]
    .map((folder) => JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')))
    .map(({ name, version }) => `${name}@${version}`)
    .sort();
}
