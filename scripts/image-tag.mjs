/**
 * Prints the tag of the image, for example `3.7.1-keystead.0.1.0`. kubeadm reads a tag as a version of etcd and chooses
 * the flags by it, so the tag begins with the version that Keystead is compatible with. `--version` prints only the
 * version of Keystead.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const found = /ETCD_VERSION = '([\d.]+)'/.exec(readFileSync(join(root, 'src/cli/version.ts'), 'utf8'));
if (found === null) throw new Error('src/cli/version.ts has no ETCD_VERSION');

console.log(process.argv[2] === '--version' ? version : `${found[1]}-keystead.${version}`);
