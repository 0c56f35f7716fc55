#!/usr/bin/env bash
# Runs everything: install, build, types, lint, format, unused code, unit tests, and with Go the end-to-end tests.
# Ends with a line "N passed, N failed". Arguments go to the unit tests.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export PATH="$PWD/node_modules/.bin:$PATH"

bash scripts/install.sh || exit 1
npm run --silent build || exit 1

failed=0
step() {
  echo "== $1"
  shift
  "$@" || { echo "== failed: $*"; failed=1; }
}

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
step types npm run --silent typecheck
step lint npm run --silent lint
step format npm run --silent format:check
step 'unused files, exports and packages' npm run --silent unused
step 'known vulnerabilities' npm run --silent audit
step 'unit tests' vitest run --project unit --reporter=default --reporter=json --outputFile.json="$results/unit.json" "$@"
step 'slow unit tests' vitest run --project unit-slow --passWithNoTests --reporter=default --reporter=json --outputFile.json="$results/unit-slow.json" "$@"
step 'documentation as a site' npm run --silent docs
if command -v go >/dev/null; then
  step 'real peers' bash scripts/build-peers.sh
  step 'end-to-end tests' vitest run --project e2e --reporter=default --reporter=json --outputFile.json="$results/e2e.json"
  echo "== skipped: a real Kubernetes node (npm run e2e:node), because its programs take long to build"
  step 'faults, restarts and soak' vitest run --project e2e-reliability --reporter=default --reporter=json --outputFile.json="$results/e2e-reliability.json"
else
  echo "== skipped: the end-to-end suites (e2e/), because Go is not installed and they need real programs built with Go"
fi
node scripts/count-tests.mjs "$failed" "$results"/*.json || failed=1
exit "$failed"
