import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runCommand } from './testing/commands.ts';
import { rewriteScript, runScript } from './testing/datadriven.ts';
import { Interaction } from './testing/interaction.ts';

const dir = join(import.meta.dirname, 'testing', 'scripts');

// KEYSTEAD_REWRITE=1 writes the output of now into the scripts, to be reviewed as text.
const rewrite = process.env['KEYSTEAD_REWRITE'] === '1';

for (const file of readdirSync(dir)) {
  it(file, () => {
    const path = join(dir, file);
    const text = readFileSync(path, 'utf8');
    const env = new Interaction();
    if (rewrite)
      writeFileSync(
        path,
        rewriteScript(text, (directive) => runCommand(env, directive)),
      );
    else expect(runScript(text, (directive) => runCommand(env, directive))).toEqual([]);
  });
}
