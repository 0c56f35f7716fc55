import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FolderPlace } from './folder-place.ts';
import type { BackupPlace } from './place.ts';

/**
 * Opens the place of a URL: `s3://bucket/prefix`, `file:///folder`, or the path of a folder.
 *
 * @param environment for S3: endpoint, region and credentials
 * @throws Error if the URL is invalid or of another kind
 */
export async function openPlace(
  url: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<BackupPlace> {
  if (url === '') throw new Error('the URL of the backups is empty');
  if (url.startsWith('file://')) return new FolderPlace(folderOf(url));
  const [, scheme] = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url) ?? [];
  if (scheme === 's3') return new (await import('./s3-place.ts')).S3Place(url, environment);
  if (scheme !== undefined) throw new Error(`backups cannot be stored at ${scheme}://`);
  return new FolderPlace(resolve(url));
}

function folderOf(url: string): string {
  try {
    return fileURLToPath(url);
  } catch {
    throw new Error(`${url} is no URL of a folder: it needs three slashes, as in file:///backups`);
  }
}
