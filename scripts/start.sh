#!/usr/bin/env bash
# Installs the dependencies, builds if sources have changed, and runs the server with the given arguments.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$here/scripts/install.sh"
bundle=$here/dist/keystead.js
if [ ! -f "$bundle" ] || [ -n "$(find "$here/src" "$here/scripts/build.mjs" "$here/package-lock.json" -newer "$bundle" -print -quit)" ]; then
  node "$here/scripts/build.mjs"
fi
# npm changes to the directory of the package, but relative paths are those of the caller.
cd "${INIT_CWD:-$PWD}"
exec node "$bundle" "$@"
