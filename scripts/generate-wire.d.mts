import type { Root } from 'protobufjs';

/** Parses proto/. */
export function loadProtos(): Root;
/** Returns the texts of the generated files, by path relative to the repository. */
export function generate(): Map<string, string>;
