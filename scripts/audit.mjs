/**
 * Known vulnerabilities of the packages that run in production, by `npm audit`. High and critical ones fail the
 * checks; a registry that knows of none because it cannot be asked does not.
 */
import { spawnSync } from 'node:child_process';

const { stdout } = spawnSync('npm', ['audit', '--omit=dev', '--json'], { encoding: 'utf8', timeout: 60_000 });

let report;
try {
  report = JSON.parse(stdout);
} catch {
  report = {};
}
const counts = report.metadata?.vulnerabilities;
if (counts === undefined) {
  console.log('== skipped: known vulnerabilities, as the package registry cannot be asked about them');
} else {
  const serious = counts.high + counts.critical;
  console.log(`known vulnerabilities: ${counts.total}, of them high or critical ${serious}`);
  for (const { name, severity, range } of Object.values(report.vulnerabilities ?? {}))
    console.log(`  ${name} ${range}: ${severity}`);
  if (serious > 0) process.exitCode = 1;
}
