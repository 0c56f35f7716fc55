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
# With glibc's lists of small free pieces, the main thread joins all that V8's threads have freed, in one turn of up to
# 140 ms. Without them, the thread that frees does it. The settings of the caller come last, so they count.
export GLIBC_TUNABLES=glibc.malloc.mxfast=0${GLIBC_TUNABLES:+:$GLIBC_TUNABLES}
exec node "$bundle" "$@"
