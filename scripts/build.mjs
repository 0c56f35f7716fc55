// Bundles src/main.ts into dist/keystead.js, with each worker of src/workers beside it: few files load faster than
// hundreds of modules. What only some runs need (YAML, tools) stays in chunks of its own, loaded on demand.
import { build } from 'esbuild';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const workers = join(root, 'src/workers');
const workerEntries = existsSync(workers)
  ? readdirSync(workers).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
  : [];

const entryPoints = { keystead: join(root, 'src/main.ts') };
for (const name of workerEntries) entryPoints[name.replace(/\.ts$/, '')] = join(workers, name);

rmSync(join(root, 'dist'), { recursive: true, force: true });
const result = await build({
  absWorkingDir: root,
  entryPoints,
  outdir: 'dist',
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.9',
  sourcemap: 'external',
  // The native module finds its binary beside its own files.
  external: ['@nxtedition/rocksdb'],
  chunkNames: 'chunks/[name]-[hash]',
  // Bundled CommonJS packages call require.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  legalComments: 'none',
  logLevel: 'warning',
});
if (result.errors.length > 0) process.exit(1);

// Installed as a command, by the names of package.json's bin.
const command = join(root, 'dist/keystead.js');
const code = readFileSync(command, 'utf8');
if (!code.startsWith('#!')) writeFileSync(command, `#!/usr/bin/env node\n${code}`);
chmodSync(command, 0o755);
