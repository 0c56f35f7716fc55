/**
 * `pack-image.mjs FOLDER` fills FOLDER with the files of the image: those of a release in /opt/keystead, the bill of
 * materials, this Node.js, and the commands `keystead` and `etcd`.
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = process.argv[2];
const release = join(folder, 'opt/keystead');
const commands = join(folder, 'usr/local/bin');

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
execFileSync(
  process.execPath,
  [join(root, 'scripts/pack-release.mjs'), version, release, join(folder, 'opt/keystead/sbom.cdx.json')],
  { stdio: 'inherit' },
);
for (const name of readdirSync(release, { recursive: true }))
  if (name.endsWith('.js.map')) rmSync(join(release, name));

mkdirSync(commands, { recursive: true });
copyFileSync(process.execPath, join(commands, 'node'));

// The image has no /usr/bin/env, so the interpreter has an absolute path.
const server = join(release, 'dist/keystead.js');
writeFileSync(server, readFileSync(server, 'utf8').replace(/^#!.*/, '#!/usr/local/bin/node'));
for (const name of ['keystead', 'etcd']) symlinkSync('/opt/keystead/dist/keystead.js', join(commands, name));
