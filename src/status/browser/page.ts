import type { StatusReport } from '../report.ts';
import { pageView } from '../view/page-view.ts';
import { timeText } from '../view/units.ts';
import { byId, fillFacts, fillFindings, fillTable, setText, setTone } from './dom.ts';

const REFRESH_MS = 5_000;
/** Longer than the server takes for an answer without one of the other members. */
const TIMEOUT_MS = 4_000;

let last: StatusReport | undefined;
let timer: number | undefined;
let isPaused = false;
let isAsking = false;

/** Reads the report and shows it. Does so again and again while the page is visible and not paused. */
async function refresh(): Promise<void> {
  clearTimeout(timer);
  if (isAsking) return;
  isAsking = true;
  try {
    const response = await fetch('status.json', {
      cache: 'no-store',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const report = (await response.json()) as StatusReport;
    show(report);
  } catch {
    showStale();
  } finally {
    isAsking = false;
    schedule();
  }
}

function schedule(): void {
  clearTimeout(timer);
  if (!isPaused && !document.hidden) timer = setTimeout(() => void refresh(), REFRESH_MS);
}

function show(report: StatusReport): void {
  const view = pageView(report, last);
  last = report;
  delete document.body.dataset['stale'];
  document.title = view.title;
  setText(byId('name'), view.name);
  fillFacts('identity', view.identity);
  setTone(byId('state'), view.tone);
  setHeadline(view.headline, view.findings.length === 0);
  fillFindings('findings', view.findings);
  fillFacts('summary', view.summary);
  fillTable('members', view.members);
  fillFacts('space', view.space);
  fillFacts('raft', view.raft);
  fillTable('loop', view.eventLoop);
  fillFacts('backup', view.backup.facts);
  byId('backup-empty').hidden = view.backup.facts.length > 0;
  setText(byId('backup-empty'), view.backup.empty);
  fillTable('slow', view.slowRequests);
  fillTable('prefixes', view.prefixes);
  showTime();
}

/** The last figures stay, marked as old. */
function showStale(): void {
  document.body.dataset['stale'] = '';
  const since = last === undefined ? '' : ` The figures are those of ${timeText(last.atMs, last.atMs)}.`;
  document.title = 'No answer – Keystead';
  setTone(byId('state'), 'problem');
  setHeadline(`The server does not answer.${since}`, true);
  byId('findings').hidden = true;
  showTime();
}

function setHeadline(text: string, isSeen: boolean): void {
  byId('headline').classList.toggle('hidden', !isSeen);
  setText(byId('headline'), text);
}

function showTime(): void {
  const time = last === undefined ? 'No figures yet' : `Updated ${timeText(last.atMs, last.atMs)}`;
  setText(byId('updated'), `${time}, ${isPaused ? 'paused' : `every ${REFRESH_MS / 1000} s`}`);
}

byId('pause').addEventListener('click', () => {
  isPaused = !isPaused;
  setText(byId('pause'), isPaused ? 'Resume' : 'Pause');
  showTime();
  if (isPaused) clearTimeout(timer);
  else void refresh();
});
document.addEventListener('visibilitychange', () => {
  if (document.hidden) clearTimeout(timer);
  else if (!isPaused) void refresh();
});
void refresh();
