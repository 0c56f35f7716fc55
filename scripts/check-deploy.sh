#!/usr/bin/env bash
# Checks everything that installs Keystead: the Helm chart, k8s/, kind/, compose.yaml, alerts and shell scripts.
#
#   scripts/check-deploy.sh [--tools-only]
#
# First gets the tools that it can get without root: Helm and promtool, built with Go (minutes, once), and
# kubernetes-validate from the Python package index. shellcheck and yamllint are used if they are installed. A check
# without its tool is skipped, and its title names the tool.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wanted=$(cat e2e/deploy/requirements.txt)
tools=.cache/deploy
if [[ $(cat "$tools/requirements.txt" 2>/dev/null) != "$wanted" ]]; then
  if python3 -m venv "$tools" && "$tools/bin/pip" install --quiet --disable-pip-version-check -r e2e/deploy/requirements.txt; then
    echo "$wanted" >"$tools/requirements.txt"
  else
    echo "check-deploy: kubernetes-validate cannot be installed; its checks are skipped" >&2
  fi
fi
bash scripts/build-peers.sh helm promtool
if [[ ${1:-} == --tools-only ]]; then exit 0; fi
exec node_modules/.bin/vitest run --project e2e e2e/deploy
