#!/usr/bin/env bash
# Installs, builds where sources changed, and runs the server with the arguments given.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$here/scripts/install.sh"
bundle=$here/dist/keystead.js
if [ ! -f "$bundle" ] || [ -n "$(find "$here/src" "$here/scripts/build.mjs" "$here/package-lock.json" -newer "$bundle" -print -quit)" ]; then
  node "$here/scripts/build.mjs"
fi
# npm changes into the package's folder; relative paths are the caller's.
cd "${INIT_CWD:-$PWD}"
exec node "$bundle" "$@"
