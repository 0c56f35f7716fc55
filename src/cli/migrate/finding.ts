/** One result of the check before a migration. */
export interface Finding {
  /** A problem must be solved before the migration; a warning should be read. */
  readonly level: 'ok' | 'warning' | 'problem';
  /** What was checked, such as `alarms` or `member 8e9e05c52164694d`. */
  readonly subject: string;
  readonly message: string;
}

export function ok(subject: string, message: string): Finding {
  return { level: 'ok', subject, message };
}

export function warning(subject: string, message: string): Finding {
  return { level: 'warning', subject, message };
}

export function problem(subject: string, message: string): Finding {
  return { level: 'problem', subject, message };
}
