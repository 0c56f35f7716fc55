export { decodeJson } from './json-decode.ts';
export { encodeJson } from './json-encode.ts';
export { JsonError } from './json-text.ts';
export { JsonTranscoder } from './json-transcoder.ts';
