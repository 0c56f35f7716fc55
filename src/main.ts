import { runCli } from './cli/dispatch.ts';

process.exitCode = await runCli({
  args: process.argv.slice(2),
  environment: process.env,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  serve: async (config, logging) => {
    const { serve } = await import('./cli/serve.ts');
    return serve(config, logging);
  },
});
