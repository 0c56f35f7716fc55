import { ConfChangeError, enterJoint, leaveJoint, simpleChange } from '../confchange/changer.ts';
import type { Membership } from '../confchange/changer.ts';
import { parseChanges } from '../confchange/conf-change.ts';
import { describeJointAcks, jointCommitted, jointIds, jointVote } from '../quorum/joint.ts';
import { describeAcks, describeIndex, majorityCommitted, majorityVote } from '../quorum/majority.ts';
import type { AckedIndexer } from '../quorum/majority.ts';
import { describeProgress } from '../tracker/progress.ts';
import { describeConfig, emptyConfig } from '../tracker/tracker.ts';
import type { Directive } from './datadriven.ts';

/** Runs the commands of quorum scripts: `committed` and `vote`, for a majority or a joint configuration. */
export function runQuorumCase({ command, args }: Directive): string {
  const values = (name: string) => args.find(({ key }) => key === name)?.values;
  const ids = (values('cfg') ?? []).map(BigInt);
  const outgoing = values('cfgj');
  const outgoingIds = outgoing === undefined || outgoing[0] === 'zero' ? [] : outgoing.map(BigInt);
  const joint = { incoming: new Set(ids), outgoing: new Set(outgoingIds) };
  const given = values(command === 'vote' ? 'votes' : 'idx') ?? [];
  const voters = new Set([...ids, ...outgoingIds]);
  if (voters.size !== given.length) {
    const shown = [...jointIds(joint)].sort().map((id) => `${id}:{}`);
    return `error: mismatched input (explicit or _) for voters map[${shown.join(' ')}]: [${given.join(' ')}]`;
  }
  const known = [...voters].map((id, i) => [id, given[i] ?? '_'] as const).filter(([, text]) => text !== '_');
  const isJoint = outgoing !== undefined;
  if (command === 'vote') {
    const votes = new Map(known.map(([id, text]) => [id, text === 'y'] as const));
    return `${isJoint ? jointVote(joint, votes) : majorityVote(joint.incoming, votes)}\n`;
  }
  const acks: AckedIndexer & Map<bigint, number> = Object.assign(
    new Map(known.map(([id, text]) => [id, Number(text)] as const)),
    { ackedIndex: (id: bigint): number | undefined => acks.get(id) },
  );
  if (isJoint) return `${describeJointAcks(joint, acks)}${describeIndex(jointCommitted(joint, acks))}\n`;
  return `${describeAcks(joint.incoming, acks)}${describeIndex(majorityCommitted(joint.incoming, acks))}\n`;
}

/** Runs the commands of configuration-change scripts, each upon the result of those before it. */
export class ConfChangeCases {
  #membership: Membership = { config: emptyConfig, progress: new Map() };
  #lastIndex = 0;

  run({ command, args, input }: Directive): string {
    const limits = { lastIndex: this.#lastIndex++, maxInflight: 10, maxInflightBytes: 0 };
    const autoLeave = args.some(({ key, values }) => key === 'autoleave' && values[0] === 'true');
    try {
      const changes = parseChanges(input);
      if (command === 'simple') {
        this.#membership = simpleChange(this.#membership, changes, limits);
      } else if (command === 'enter-joint') {
        this.#membership = enterJoint(this.#membership, changes, { autoLeave, limits });
      } else if (changes.length > 0) {
        return 'this command takes no input\n';
      } else {
        this.#membership = leaveJoint(this.#membership, limits);
      }
    } catch (error) {
      if (!(error instanceof ConfChangeError)) throw error;
      return `${error.message}\n`;
    }
    return `${describeConfig(this.#membership.config)}\n${describeProgress(this.#membership.progress)}`;
  }
}
