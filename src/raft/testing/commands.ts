import { ConfChangeTransition, MessageType } from '../types.ts';
import type { ConfState, Snapshot } from '../types.ts';
import { parseChanges } from '../confchange/conf-change.ts';
import { ReadOnlyOption } from '../read-only.ts';
import type { Argument, Directive } from './datadriven.ts';
import { CommandError, Interaction } from './interaction.ts';
import type { NodeTemplate } from './interaction.ts';

type Handler = (env: Interaction, directive: Directive) => void;

/** The verbs of interaction scripts. Node ids are decimal, and count from 1. */
const handlers: Readonly<Record<string, Handler>> = {
  'add-nodes': addNodes,
  campaign: (env, d) => env.member(firstId(d)).node.campaign(),
  compact: (env, d) => env.compact(firstId(d), Number(d.args[1]?.key)),
  'deliver-msgs': deliver,
  'forget-leader': (env, d) => env.member(firstId(d)).node.forgetLeader(),
  'log-level': (env, d) => env.trace.setLevel(d.args[0]?.key ?? ''),
  'process-append-thread': (env, d) =>
    forEachNode(env, d, 'processing append thread', (id) => env.processAppend(id)),
  'process-apply-thread': (env, d) =>
    forEachNode(env, d, 'processing apply thread', (id) => env.processApply(id)),
  'process-ready': (env, d) => forEachNode(env, d, 'handling Ready', (id) => env.processReady(id)),
  propose: (env, d) => env.propose(firstId(d), Buffer.from(d.args[1]?.key ?? '')),
  'propose-conf-change': proposeConfChange,
  'raft-log': (env, d) => env.describeLog(firstId(d)),
  'raft-state': (env) => env.describeStates(),
  'read-index': (env, d) => env.member(firstId(d)).node.readIndex(Buffer.from(d.args[1]?.key ?? '')),
  'report-unreachable': (env, d) => env.member(firstId(d)).node.reportUnreachable(nodeIds(d)[1] ?? 0n),
  'report-snapshot': (env, d) =>
    env.member(firstId(d)).node.reportSnapshot(BigInt(d.args[1]?.key ?? 0), snapshotOutcome(d.args[2]?.key)),
  'send-snapshot': (env, d) => env.sendSnapshot(firstId(d), nodeIds(d)[1] ?? 0n),
  'set-randomized-election-timeout': (env, d) =>
    env.member(firstId(d)).node.setRandomizedElectionTimeout(Number(value(d, 'timeout'))),
  stabilize,
  status: (env, d) => env.describeProgress(firstId(d)),
  'tick-election': (env, d) => env.tick(firstId(d), env.member(firstId(d)).template.electionTick),
  'tick-heartbeat': (env, d) => env.tick(firstId(d), env.member(firstId(d)).template.heartbeatTick),
  'transfer-leadership': (env, d) =>
    env.member(BigInt(value(d, 'from') ?? 0)).node.transferLeader(BigInt(value(d, 'to') ?? 0)),
};

/** Does one command. @returns its output, `ok` if it has none */
export function runCommand(env: Interaction, directive: Directive): string {
  let failure = '';
  try {
    const handler = handlers[directive.command];
    if (handler === undefined) throw new CommandError('unknown command');
    handler(env, directive);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    failure = error.message;
  }
  const output = env.trace.take() + failure;
  return output === '' ? 'ok' : output;
}

function nodeIds({ args }: Directive): bigint[] {
  return args.filter(({ values }) => values.length === 0).map(({ key }) => BigInt(key));
}

function firstId(directive: Directive): bigint {
  return BigInt(directive.args[0]?.key ?? 0);
}

function value({ args }: Directive, name: string): string | undefined {
  return args.find(({ key }) => key === name)?.values[0];
}

function snapshotOutcome(text: string | undefined): 'finished' | 'failed' {
  if (text === 'finished' || text === 'failed') return text;
  throw new CommandError('a snapshot is finished or failed');
}

function forEachNode(
  env: Interaction,
  directive: Directive,
  title: string,
  work: (id: bigint) => void,
): void {
  const ids = nodeIds(directive);
  for (const id of ids) {
    if (ids.length === 1) {
      work(id);
      continue;
    }
    env.trace.write(`> ${id} ${title}\n`);
    env.trace.indented(() => work(id));
  }
}

function addNodes(env: Interaction, { args }: Directive): void {
  const [count, ...options] = args;
  const confState: ConfState = {
    voters: [],
    learners: [],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  };
  const snapshot: Snapshot = { data: undefined, metadata: { confState, index: 0, term: 0 } };
  let template: NodeTemplate = { electionTick: 3, heartbeatTick: 1, maxInflightMessages: 2 ** 31 - 1 };
  for (const { key, values } of options) {
    const first = values[0] ?? '';
    if (key === 'voters') confState.voters = values.map(BigInt);
    else if (key === 'learners') confState.learners = values.map(BigInt);
    else if (key === 'content') snapshot.data = Buffer.from(first);
    else if (key === 'index') {
      snapshot.metadata = { confState, index: Number(first), term: 1 };
      template = { ...template, applied: Number(first) };
    } else template = { ...template, ...nodeOption(key, first) };
  }
  env.addNodes(Number(count?.key), template, snapshot);
}

function nodeOption(key: string, text: string): Partial<NodeTemplate> {
  switch (key) {
    case 'inflight':
      return { maxInflightMessages: Number(text) };
    case 'async-storage-writes':
      return { asyncStorageWrites: text === 'true' };
    case 'prevote':
      return { preVote: text === 'true' };
    case 'checkquorum':
      return { checkQuorum: text === 'true' };
    case 'max-committed-size-per-ready':
      return { maxCommittedSizePerReady: Number(text) };
    case 'max-size-per-message':
      return { maxSizePerMessage: Number(text) };
    case 'max-uncommitted-size':
      return { maxUncommittedSize: Number(text) };
    case 'max-inflight-bytes':
      return { maxInflightBytes: Number(text) };
    case 'disable-conf-change-validation':
      return { disableConfChangeValidation: text === 'true' };
    case 'disable-proposal-forwarding':
      return { disableProposalForwarding: text === 'true' };
    case 'read-only':
      return { readOnlyOption: text === 'lease-based' ? ReadOnlyOption.LeaseBased : ReadOnlyOption.Safe };
    case 'step-down-on-removal':
      return { stepDownOnRemoval: text === 'true' };
    default:
      throw new CommandError(`unknown option ${key}`);
  }
}

function deliver(env: Interaction, directive: Directive): void {
  const type = messageTypeNamed(value(directive, 'type'));
  const dropped = directive.args
    .filter(({ key }) => key === 'drop')
    .flatMap(({ values }) => values.map(BigInt));
  let count = 0;
  for (const id of nodeIds(directive)) count += env.deliver(id, { type });
  for (const id of dropped) count += env.deliver(id, { type, drop: true });
  if (count === 0) env.trace.write('no messages\n');
}

function messageTypeNamed(name: string | undefined): MessageType | undefined {
  if (name === undefined) return undefined;
  const found = Object.entries(MessageType).find(([each]) => each === name);
  if (found === undefined) throw new CommandError(`unknown message type ${name}`);
  return found[1];
}

const transitions: Readonly<Record<string, ConfChangeTransition>> = {
  auto: ConfChangeTransition.ConfChangeTransitionAuto,
  implicit: ConfChangeTransition.ConfChangeTransitionJointImplicit,
  explicit: ConfChangeTransition.ConfChangeTransitionJointExplicit,
};

function proposeConfChange(env: Interaction, directive: Directive): void {
  const transition = transitions[value(directive, 'transition') ?? 'auto'];
  if (transition === undefined) throw new CommandError('unknown transition');
  const changes = parseChanges(directive.input);
  if (value(directive, 'v1') !== 'true') {
    env.proposeConfChange(firstId(directive), { transition, changes, context: undefined });
    return;
  }
  const [change, ...more] = changes;
  if (change === undefined || more.length > 0 || transition !== transitions['auto']) {
    throw new CommandError('v1 conf change can only have one operation and no transition');
  }
  env.proposeConfChange(firstId(directive), { id: 0n, ...change, context: undefined });
}

function stabilize(env: Interaction, directive: Directive): void {
  const ids = nodeIds(directive);
  const { level } = env.trace;
  const wanted: Argument | undefined = directive.args.find(({ key }) => key === 'log-level');
  if (wanted !== undefined) env.trace.setLevel(wanted.values[0] ?? '');
  try {
    env.stabilize(ids.length > 0 ? ids : env.ids());
  } finally {
    env.trace.level = level;
  }
}
