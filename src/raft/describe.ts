import { hex, reasonOf } from '../lib/text.ts';
import { EMPTY } from '../wire/reader.ts';
import { asV2, decodeConfChange, formatChanges } from './confchange/conf-change.ts';
import type { AnyConfChange } from './confchange/conf-change.ts';
import {
  ConfChangeTransition,
  ConfChangeType,
  EntryType,
  LocalAppendThread,
  LocalApplyThread,
  MessageType,
  None,
  isEmptyHardState,
  isEmptySnapshot,
} from './types.ts';
import type { ConfState, Entry, HardState, Message, ReadState, Ready, Snapshot, SoftState } from './types.ts';
import { quote } from './quote.ts';

/**
 * All data of raft as text, for logs, debugging and golden tests. The form is that of go.etcd.io/raft's `Describe*`, so
 * that traces of both can be compared.
 */

/** Shows the data of a normal entry; quoted by default. */
export type DataFormatter = (data: Buffer) => string;

function nameIn(values: Readonly<Record<string, number>>, value: number): string {
  for (const [name, each] of Object.entries(values)) if (each === value) return name;
  return String(value);
}

const messageTypeNames = Object.entries(MessageType).reduce<string[]>((names, [name, value]) => {
  names[value] = name;
  return names;
}, []);

export function describeMessageType(type: MessageType): string {
  return messageTypeNames[type] ?? String(type);
}

export function describeHardState({ term, vote, commit }: HardState): string {
  return `Term:${term}${vote === None ? '' : ` Vote:${vote}`} Commit:${commit}`;
}

export function describeSoftState({ lead, role }: SoftState): string {
  return `Lead:${lead} State:${role}`;
}

export function describeConfState(state: ConfState): string {
  return (
    `Voters:${list(state.voters)} VotersOutgoing:${list(state.votersOutgoing)} ` +
    `Learners:${list(state.learners)} LearnersNext:${list(state.learnersNext)} AutoLeave:${state.autoLeave}`
  );
}

const emptyConfState: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

export function describeSnapshot({ metadata }: Snapshot): string {
  const state = describeConfState(metadata?.confState ?? emptyConfState);
  return `Index:${metadata?.index ?? 0} Term:${metadata?.term ?? 0} ConfState:${state}`;
}

function describeReadState({ index, requestCtx }: ReadState): string {
  return `{${index} ${list([...requestCtx])}}`;
}

export function describeReady(ready: Ready, format: DataFormatter = quote): string {
  let text = '';
  if (ready.softState !== undefined) text += `${describeSoftState(ready.softState)}\n`;
  if (ready.hardState !== undefined && !isEmptyHardState(ready.hardState)) {
    text += `HardState ${describeHardState(ready.hardState)}\n`;
  }
  if (ready.readStates.length > 0) text += `ReadStates ${list(ready.readStates.map(describeReadState))}\n`;
  if (ready.entries.length > 0) text += `Entries:\n${describeEntries(ready.entries, format)}`;
  if (ready.snapshot !== undefined && !isEmptySnapshot(ready.snapshot)) {
    text += `Snapshot ${describeSnapshot(ready.snapshot)}\n`;
  }
  if (ready.committedEntries.length > 0) {
    text += `CommittedEntries:\n${describeEntries(ready.committedEntries, format)}`;
  }
  if (ready.messages.length > 0) {
    text += `Messages:\n${ready.messages.map((message) => `${describeMessage(message, format)}\n`).join('')}`;
  }
  return text === '' ? '<empty Ready>' : `Ready MustSync=${ready.mustSync}:\n${text}`;
}

export function describeMessage(message: Message, format: DataFormatter = quote, indent = ''): string {
  let text =
    `${indent}${describeTarget(message.from)}->${describeTarget(message.to)} ` +
    `${describeMessageType(message.type)} Term:${message.term} Log:${message.logTerm}/${message.index}`;
  if (message.reject) text += ` Rejected (Hint: ${message.rejectHint})`;
  if (message.commit !== 0) text += ` Commit:${message.commit}`;
  if (message.vote !== None) text += ` Vote:${message.vote}`;
  const entries = message.entries.map((entry) => describeEntry(entry, format));
  if (entries.length === 1) text += ` Entries:[${entries.join('')}]`;
  else if (entries.length > 1) text += ` Entries:[\n${indent}  ${entries.join(`\n${indent}  `)}\n${indent}]`;
  if (message.snapshot !== undefined && !isEmptySnapshot(message.snapshot)) {
    text += `\n${indent}  Snapshot: ${describeSnapshot(message.snapshot)}`;
  }
  if (message.responses.length > 0) {
    const responses = message.responses.map((each) => `\n${describeMessage(each, format, `${indent}  `)}`);
    text += ` Responses:[${responses.join('')}\n${indent}]`;
  }
  return text;
}

function describeTarget(id: bigint): string {
  switch (id) {
    case None:
      return 'None';
    case LocalAppendThread:
      return 'AppendThread';
    case LocalApplyThread:
      return 'ApplyThread';
    default:
      return hex(id);
  }
}

export function describeEntry(entry: Entry, format: DataFormatter = quote): string {
  const shown = describeData(entry, format);
  const type = nameIn(EntryType, entry.type);
  return `${entry.term}/${entry.index} ${type}${shown === '' ? '' : ` ${shown}`}`;
}

function describeData(entry: Entry, format: DataFormatter): string {
  if (entry.type === EntryType.EntryNormal) return format(entry.data ?? EMPTY);
  try {
    return formatChanges(asV2(decodeConfChange(entry)).changes);
  } catch (error) {
    return reasonOf(error);
  }
}

/** One entry a line. */
export function describeEntries(entries: readonly Entry[], format: DataFormatter = quote): string {
  return entries.map((entry) => `${describeEntry(entry, format)}\n`).join('');
}

export function describeConfChange(change: AnyConfChange): string {
  const { transition, changes, context } = asV2(change);
  let text = `transition:${nameIn(ConfChangeTransition, transition)}`;
  for (const { type, nodeId } of changes) {
    text += ` changes:{type:${nameIn(ConfChangeType, type)} node_id:${nodeId}}`;
  }
  if (context !== undefined && context.length > 0) text += ` context:${quote(context)}`;
  return text;
}

function list(values: readonly (bigint | number | string)[]): string {
  return `[${values.join(' ')}]`;
}
