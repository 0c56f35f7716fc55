/*
 * Loaded into a server before its own code (node --import): while the file named by STUCK_LOG_WHILE exists, writes to
 * the write-ahead log are not begun, as on a disk that answers nothing.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const LOOK_MS = 20;
const stuckWhile = process.env.STUCK_LOG_WHILE;
const logFiles = new Set();
const { openSync, write, closeSync } = fs;

fs.openSync = (path, ...rest) => {
  const file = openSync(path, ...rest);
  if (String(path).includes('/wal')) logFiles.add(file);
  return file;
};

fs.closeSync = (file) => {
  logFiles.delete(file);
  closeSync(file);
};

fs.write = (file, ...rest) => {
  const isStuck = stuckWhile !== undefined && logFiles.has(file) && fs.existsSync(stuckWhile);
  if (isStuck) setTimeout(() => fs.write(file, ...rest), LOOK_MS);
  else write(file, ...rest);
};

syncBuiltinESMExports();
