import { parseArgs } from 'node:util';
import { prunePlace } from '../../backup/prune.ts';
import {
  type BackupCommand,
  parsed,
  placeFlags,
  placeSettings,
  RETENTION_USAGE,
  retentionFlags,
  retentionOf,
} from './command.ts';

const usage = `Usage: keystead backup prune --url <place> [options]

Removes old backups, and what interrupted runs have left for more than a day.

${RETENTION_USAGE}  --dry-run                       Only prints what would be removed
`;

/** The flags of the command, for `parseArgs`. */
export const pruneFlags = { ...placeFlags, ...retentionFlags, 'dry-run': { type: 'boolean' } } as const;

export const pruneCommand: BackupCommand = {
  usage,
  run: async ({ args, environment, out }) => {
    const { settings, retention, isDry } = await parsed(async () => {
      const { values } = parseArgs({
        args: [...args],
        options: pruneFlags,
      });
      const rules = retentionOf(values);
      if (rules.keepLast === undefined && rules.keepDays === undefined)
        throw new Error('give --keep-last or --keep-days');
      return {
        settings: await placeSettings(values, environment),
        retention: rules,
        isDry: values['dry-run'] === true,
      };
    });
    const removed = await prunePlace(settings.place, retention, Date.now(), isDry);
    if (settings.isJson) out(JSON.stringify({ removed }));
    else for (const name of removed) out(`${isDry ? 'would remove' : 'removed'} ${name}`);
    return 0;
  },
};
