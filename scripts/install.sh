#!/usr/bin/env bash
# Installs the dependencies of the lockfile if they are missing or outdated. Install scripts of packages are not run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --ignore-scripts --no-audit --no-fund --loglevel error
  # Builds the storage engine where the package has no binary for this machine.
  node scripts/rocksdb.mjs || { rm -f node_modules/.package-lock.json; exit 1; }
  touch node_modules/.package-lock.json
fi
