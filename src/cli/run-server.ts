import type { LogSettings } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import type { EarlyLogLine } from '../config/early-log-line.ts';
import { reasonOf } from '../lib/text.ts';
import { Logging } from '../logging/logging.ts';
import type { CliInput } from './dispatch.ts';
import { versionText } from './version.ts';

/** Loads the configuration, opens the log output and runs the server. Returns the exit code. */
export async function runServer({ args, environment, serve, out, err }: CliInput): Promise<number> {
  const outcome = await loadConfig({ args, environment });
  switch (outcome.kind) {
    case 'exit':
      err(outcome.stderr);
      out(outcome.stdout);
      return outcome.exitCode;
    case 'version':
      out(versionText());
      return 0;
    case 'failed': {
      const early = Logging.early();
      writeLines(early, outcome.early);
      const logging = outcome.log === undefined ? early : openLogging(outcome.log, err);
      if (logging !== undefined) writeLines(logging, outcome.late);
      return outcome.exitCode;
    }
    case 'ready': {
      writeLines(Logging.early(), outcome.early);
      const logging = openLogging(outcome.config.log, err);
      if (logging === undefined) return 1;
      writeLines(logging, outcome.late);
      return serve(outcome.config, logging);
    }
  }
}

function writeLines(logging: Logging, lines: readonly EarlyLogLine[]): void {
  for (const { level, caller, message, fields } of lines) logging.write(level, caller, message, fields);
}

function openLogging(settings: LogSettings, err: (text: string) => void): Logging | undefined {
  try {
    return new Logging(settings);
  } catch (error) {
    err(`cannot open log output: ${reasonOf(error)}\n`);
    return undefined;
  }
}
