import bcrypt from 'bcryptjs';

export type PasswordTask =
  | { readonly kind: 'compare'; readonly password: string; readonly hash: string }
  | { readonly kind: 'hash'; readonly password: string; readonly cost: number };

/** The hash, or whether the password is the one. */
export type PasswordOutcome = string | boolean;

export function runPasswordTask(task: PasswordTask): PasswordOutcome {
  if (task.kind === 'hash') {
    // The variant that Go writes; for passwords without faulty text it is the same function.
    const salt = bcrypt.genSaltSync(task.cost).replace(/^\$2[by]\$/, '$2a$');
    return bcrypt.hashSync(task.password, salt);
  }
  try {
    return bcrypt.compareSync(task.password, task.hash);
  } catch {
    // What is stored is no hash: nothing fits it.
    return false;
  }
}
