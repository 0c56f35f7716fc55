import { writeFileSync } from 'node:fs';

/** Names this thread for tools such as `top -H`, at most 15 characters. Other systems than Linux show no names. */
export function nameThread(name: string): void {
  try {
    writeFileSync('/proc/thread-self/comm', name);
  } catch {
    // The name is only for people.
  }
}
