import type { Cell, Fact, Row, TableView, Tone } from '../view/page-view.ts';
import type { Finding } from '../view/findings.ts';

/*
 * Writes the view into the page. All texts become text nodes, so nothing that a cluster contains can become markup. What
 * has not changed is left alone: selections, the focus and the place of a screen reader stay where they are.
 */

export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no element ${id}`);
  return element;
}

export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function setTone(element: HTMLElement, tone: Tone | undefined): void {
  const next = tone ?? 'plain';
  if (element.dataset['tone'] !== next) element.dataset['tone'] = next;
}

/** Fills a table whose header is in the page. Below it, a text says why there are no rows. */
export function fillTable(id: string, { rows, empty }: TableView): void {
  const table = byId(id);
  const note = table.nextElementSibling;
  table.hidden = rows.length === 0;
  if (note instanceof HTMLElement) {
    note.hidden = rows.length > 0;
    setText(note, empty);
  }
  const columns = [...table.querySelectorAll<HTMLElement>('thead th')];
  const body = table.querySelector('tbody');
  if (body === null) return;
  fit(body, rows.length, () => newRow(columns));
  for (const [at, row] of rows.entries()) fillRow(body.children[at], row);
}

/** A row with a header cell first. The roles hold also where the style shows rows as cards. */
function newRow(columns: readonly HTMLElement[]): HTMLElement {
  const row = element('tr', 'row');
  for (const [at, column] of columns.entries()) {
    const cell = at === 0 ? element('th', 'rowheader') : element('td', 'cell');
    if (at === 0) cell.setAttribute('scope', 'row');
    cell.className = column.className;
    cell.dataset['label'] = column.textContent;
    row.append(cell);
  }
  return row;
}

function fillRow(row: Element | undefined, cells: Row): void {
  for (const [at, cell] of cells.entries()) {
    const place = row?.children[at];
    if (place instanceof HTMLElement) fillCell(place, cell);
  }
}

/** The text, then its notes. */
function fillCell(place: HTMLElement, { text, tone, notes = [], time }: Cell): void {
  setTone(place, tone);
  const children = 1 + notes.length;
  const tag = time === undefined ? 'BDI' : 'TIME';
  if (place.firstElementChild?.tagName !== tag) place.replaceChildren(element(tag.toLowerCase()));
  while (place.childElementCount > children) place.lastElementChild?.remove();
  while (place.childElementCount < children) place.append(element('small'));
  for (const [at, each] of [text, ...notes].entries()) {
    const child = place.children[at];
    if (child !== undefined) setText(child, each);
  }
  if (time !== undefined) place.firstElementChild?.setAttribute('datetime', time);
}

/** Fills a list of terms with their values. */
export function fillFacts(id: string, facts: readonly Fact[]): void {
  const list = byId(id);
  list.hidden = facts.length === 0;
  fit(list, facts.length, () => {
    const pair = element('div');
    pair.append(element('dt'), element('dd'));
    return pair;
  });
  for (const [at, fact] of facts.entries()) {
    const [term, value] = list.children[at]?.children ?? [];
    if (term === undefined || !(value instanceof HTMLElement)) continue;
    setText(term, fact.label);
    const meter = value.querySelector('meter');
    meter?.remove();
    fillCell(value, fact);
    if (fact.share !== undefined) value.append(filled(meter ?? newMeter(), fact));
  }
}

function newMeter(): HTMLMeterElement {
  const meter = document.createElement('meter');
  Object.assign(meter, { min: 0, max: 1, low: 0.8, high: 0.95, optimum: 0 });
  return meter;
}

function filled(meter: HTMLMeterElement, { label, share = 0, notes = [] }: Fact): HTMLMeterElement {
  meter.value = share;
  meter.setAttribute('aria-label', `${label}: ${notes.join(', ')}`);
  return meter;
}

export function fillFindings(id: string, findings: readonly Finding[]): void {
  const list = byId(id);
  list.hidden = findings.length === 0;
  fit(list, findings.length, () => {
    const item = element('li');
    item.append(element('span'), element('bdi'), element('p'));
    return item;
  });
  for (const [at, { level, title, detail }] of findings.entries()) {
    const item = list.children[at];
    const [mark, name, text] = item?.children ?? [];
    if (!(item instanceof HTMLElement) || mark === undefined || name === undefined || text === undefined)
      continue;
    setTone(item, level);
    setText(mark, level === 'problem' ? 'Problem' : 'Warning');
    setText(name, title);
    setText(text, detail);
  }
}

/** Adds or removes children at the end. */
function fit(parent: Element, count: number, make: () => HTMLElement): void {
  while (parent.childElementCount > count) parent.lastElementChild?.remove();
  while (parent.childElementCount < count) parent.append(make());
}

function element(tag: string, role?: string): HTMLElement {
  const made = document.createElement(tag);
  if (role !== undefined) made.setAttribute('role', role);
  return made;
}
