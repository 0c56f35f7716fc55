/**
 * Checks the production dependencies for known vulnerabilities with `npm audit`. High and critical ones fail the check.
 * If the registry does not answer, the check is skipped.
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
  console.log('== skipped: known vulnerabilities, because the package registry does not answer');
} else {
  const serious = counts.high + counts.critical;
  console.log(`known vulnerabilities: ${counts.total}, of them high or critical ${serious}`);
  for (const { name, severity, range } of Object.values(report.vulnerabilities ?? {}))
    console.log(`  ${name} ${range}: ${severity}`);
  if (serious > 0) process.exitCode = 1;
}
