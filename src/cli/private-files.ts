/** All bits of the group and of others. */
const NOT_THE_OWNER = 0o077;

/**
 * From here on every file and directory that this process makes is for its owner's eyes only, whatever makes it: the
 * storage engine's own files among them, to which no mode can be given.
 */
export function makeFilesPrivate(): void {
  process.umask(NOT_THE_OWNER);
}
