import { execFileSync } from 'node:child_process';
import { hasReusePort } from '../../src/config/unsupported-flags.ts';
import { nodePath, servingThreads } from '../harness/member.ts';

/** The version of the Node.js that runs the members. */
const memberNodeVersion = execFileSync(nodePath, ['-p', 'process.versions.node'], {
  encoding: 'utf8',
}).trim();

export const membersCanSharePorts = hasReusePort(memberNodeVersion);

/** For tests of serving threads: as many as all members have, or else four, or one if the Node.js allows only that. */
export const threadsUnderTest = ['', '0', 'auto'].includes(servingThreads)
  ? membersCanSharePorts
    ? '4'
    : '1'
  : servingThreads;
