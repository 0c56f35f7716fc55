import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/** The installed Chromium: `KEYSTEAD_CHROMIUM`, or the first one in the PATH. */
function chromiumPath(): string | undefined {
  const given = process.env['KEYSTEAD_CHROMIUM'];
  if (given !== undefined && given !== '') return given;
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Why tests with a browser are skipped; undefined if there is one. */
export function missingChromium(): string | undefined {
  return chromiumPath() === undefined
    ? 'skipped: no Chromium in the PATH (apt-get install chromium) and no KEYSTEAD_CHROMIUM'
    : undefined;
}

export async function startChromium(): Promise<Browser> {
  const executablePath = chromiumPath();
  if (executablePath === undefined) throw new Error('there is no Chromium');
  // The sandbox needs rights that containers do not have. Only pages of this repository are opened.
  return chromium.launch({ executablePath, args: ['--no-sandbox'] });
}
