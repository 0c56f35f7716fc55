import type { Root } from 'protobufjs';

/** proto/, parsed. */
export function loadProtos(): Root;
/** Texts of the generated files by path from the project's root. */
export function generate(): Map<string, string>;
