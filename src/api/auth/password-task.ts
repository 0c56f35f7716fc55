import bcrypt from 'bcryptjs';

export type PasswordTask =
  | { readonly kind: 'compare'; readonly password: string; readonly hash: string }
  | { readonly kind: 'hash'; readonly password: string; readonly cost: number };

/** The hash, or whether the password is correct. */
export type PasswordOutcome = string | boolean;

export function runPasswordTask(task: PasswordTask): PasswordOutcome {
  if (task.kind === 'hash') {
    // Go writes this variant. For passwords of valid text it is the same function.
    const salt = bcrypt.genSaltSync(task.cost).replace(/^\$2[by]\$/, '$2a$');
    return bcrypt.hashSync(task.password, salt);
  }
  try {
    return bcrypt.compareSync(task.password, task.hash);
  } catch {
    // The stored value is not a hash. No password is correct.
    return false;
  }
}
