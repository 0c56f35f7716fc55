// Loaded only for a configuration file. The package is imported statically here: a bundled CommonJS package has no
// named exports when it is imported dynamically.
export { parseDocument } from 'yaml';
