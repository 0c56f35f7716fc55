import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

const ROOT = '/sys/fs/cgroup';
const INHERITED = ['cpuset.cpus', 'cpuset.mems'];

/** The folders of a cgroup in all hierarchies, or the single one of cgroup v2. */
function folders(name: string): string[] {
  if (existsSync(join(ROOT, 'cgroup.controllers'))) return [join(ROOT, name)];
  return readdirSync(ROOT)
    .filter((each) => statSync(join(ROOT, each)).isDirectory())
    .map((each) => join(ROOT, each, name));
}

/** Makes an empty cgroup for the pods of a node. A kubelet ends all processes of its cgroup that it does not know. */
export function makeCgroup(name: string): void {
  for (const folder of folders(name)) {
    mkdirSync(folder, { recursive: true });
    // In cgroup v1 a new cpuset is empty, and no process can enter it.
    for (const file of INHERITED)
      if (existsSync(join(folder, file)) && !existsSync(join(ROOT, 'cgroup.controllers')))
        writeFileSync(join(folder, file), readFileSync(join(folder, '..', file)));
  }
}

/** Removes a cgroup with all cgroups in it. Their processes must have ended. */
export function removeCgroup(name: string): void {
  for (const folder of folders(name)) removeTree(folder);
}

function removeTree(folder: string): void {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) removeTree(join(folder, entry.name));
  rmdirSync(folder);
}
