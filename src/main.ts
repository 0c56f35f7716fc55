import { runCli } from './cli/dispatch.ts';

void runCli({
  args: process.argv.slice(2),
  environment: process.env,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  serve: async (config, logging) => {
    const { serve } = await import('./cli/serve.ts');
    const code = await serve(config, logging);
    // Everything is closed. A remaining timer or socket must not keep the process alive.
    process.exit(code);
  },
}).then((code) => {
  process.exitCode = code;
});
