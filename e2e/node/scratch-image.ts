import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../harness/command.ts';

export interface ScratchImage {
  /** Name with tag. */
  name: string;
  /** Programs that need no library; they come to /usr/local/bin under their own names. */
  programs: readonly string[];
  entrypoint?: readonly string[];
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** Writes an image from scratch as an archive that `ctr images import` reads, and returns the path of the archive. */
export async function writeScratchImage(image: ScratchImage, folder: string): Promise<string> {
  const layer = join(folder, 'layer');
  const bin = join(layer, 'usr/local/bin');
  mkdirSync(bin, { recursive: true });
  mkdirSync(join(layer, 'tmp'));
  for (const program of image.programs) copyFileSync(program, join(bin, program.replace(/^.*\//, '')));
  await tar(folder, 'layer.tar', '-C', layer, '.');
  const digest = createHash('sha256')
    .update(readFileSync(join(folder, 'layer.tar')))
    .digest('hex');
  const config = {
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    os: 'linux',
    config: { Env: ['PATH=/usr/local/bin'], Entrypoint: image.entrypoint },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
  };
  const manifest = [{ Config: 'config.json', RepoTags: [image.name], Layers: ['layer.tar'] }];
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
  await tar(folder, 'image.tar', '-C', folder, 'manifest.json', 'config.json', 'layer.tar');
  return join(folder, 'image.tar');
}

async function tar(folder: string, archive: string, ...args: readonly string[]): Promise<void> {
  const made = await runCommand('tar', ['-cf', join(folder, archive), ...args], { timeoutMs: 120_000 });
  if (made.code !== 0) throw new Error(`tar: ${made.stderr}`);
}
