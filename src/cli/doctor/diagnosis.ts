/** One finding of `keystead doctor`. */
export interface Diagnosis {
  /** A problem endangers the cluster or its data. A warning should be looked at. */
  readonly level: 'ok' | 'warning' | 'problem';
  /** What was looked at, such as `alarms` or `member a (8e9e05c52164694d)`. */
  readonly subject: string;
  readonly message: string;
  /** What to do; undefined if nothing has to be done. */
  readonly hint?: string;
}

export function good(subject: string, message: string): Diagnosis {
  return { level: 'ok', subject, message };
}

export function warning(subject: string, message: string, hint: string): Diagnosis {
  return { level: 'warning', subject, message, hint };
}

export function problem(subject: string, message: string, hint: string): Diagnosis {
  return { level: 'problem', subject, message, hint };
}

/** The worst level of all. */
export function worstLevel(findings: readonly Diagnosis[]): Diagnosis['level'] {
  if (findings.some(({ level }) => level === 'problem')) return 'problem';
  return findings.some(({ level }) => level === 'warning') ? 'warning' : 'ok';
}
