import { flagDefinitions, type FlagGroup } from './flags.ts';
import { featureGates, gateNames } from './feature-gates.ts';

const groups: readonly FlagGroup[] = [
  'Member',
  'Clustering',
  'Security',
  'Auth',
  'Profiling and Monitoring',
  'Logging',
  'Distributed tracing',
  'Features',
  'Unsafe feature',
  'Keystead',
];

/** The usage, printed before the help and after an invalid command line. */
export function usageText(): string {
  return [
    'Usage:',
    '',
    '  etcd [flags]',
    '    Run a server.',
    '',
    '  etcd --version',
    '    Print the version.',
    '',
    '  etcd -h | --help',
    '    Print all flags.',
    '',
    '  etcd --config-file <path>',
    '    Run a server with a YAML configuration file. Other flags and the environment are then ignored.',
    '    Durations in the file are nanoseconds: 600000000000 for 10m.',
    '',
    '  etcd verify | snapshot | backup | import | member | migrate | top | doctor | bench | completion | version | help',
    '    Tools of Keystead; each prints its usage with --help.',
    '',
    '',
  ].join('\n');
}

/** All flags by group. */
export function helpText(): string {
  const lines: string[] = [];
  for (const group of groups) {
    lines.push(`${group}:`);
    for (const flag of flagDefinitions.filter((candidate) => candidate.group === group)) {
      lines.push(`  --${flag.name} '${flag.default}'`, `    ${flag.help}`);
      if (flag.kind === 'featureGates') lines.push(...gateLines());
    }
    lines.push('');
  }
  lines.push('Every flag can also be set by an environment variable: --some-flag by ETCD_SOME_FLAG.', '');
  return lines.join('\n');
}

function gateLines(): string[] {
  return gateNames().map((name) => {
    const { stage, enabled } = featureGates[name];
    return `    ${name}=true|false (${stage} - default=${enabled})`;
  });
}
