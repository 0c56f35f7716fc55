#!/usr/bin/env bash
# Creates a release in release/: the bundle with the packages that are not in it, the bill of materials and the checksums.
#
#   scripts/release.sh 0.2.0            checks, sets the version, dates the changelog, commits, tags, builds
#   scripts/release.sh 0.2.0 --dry-run  builds the same files and changes nothing else
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  echo "usage: scripts/release.sh <major.minor.patch> [--dry-run]" >&2
  exit 2
}
version=${1:-}
mode=${2:-}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || usage
[[ -z $mode || $mode == --dry-run ]] || usage

if [[ -z $mode ]]; then
  [[ -z $(git status --porcelain) ]] || { echo "release: the tree has uncommitted changes" >&2; exit 1; }
  if git rev-parse -q --verify "refs/tags/v$version" >/dev/null; then
    echo "release: v$version exists already" >&2
    exit 1
  fi
  entries=$(sed -n '/^## \[Unreleased\]/,/^## \[[0-9]/p' CHANGELOG.md | grep -c '^- ' || true)
  [[ $entries -gt 0 ]] || { echo "release: the changelog has no entries under [Unreleased]" >&2; exit 1; }
fi

bash scripts/install.sh
npm run --silent check

if [[ -z $mode ]]; then
  npm version --no-git-tag-version "$version" >/dev/null
  sed -i "s/^## \[Unreleased\]$/## [Unreleased]\n\n## [$version] - $(date -u +%Y-%m-%d)/" CHANGELOG.md
fi

npm run --silent build
rm -rf release
name=keystead-$version-$(node -p 'process.platform + "-" + process.arch')
stage=release/$name
node scripts/pack-release.mjs "$version" "$stage" "release/keystead-$version.cdx.json"
tar --sort=name --owner=0 --group=0 --numeric-owner -C release -czf "release/$name.tar.gz" "$name"
rm -rf "$stage"
node scripts/check-archive.mjs "release/$name.tar.gz"
(cd release && sha256sum ./*.tar.gz ./*.json >SHA256SUMS)

if [[ -z $mode ]]; then
  git commit -q -am "Release $version" -m "The changelog says what is in it."
  git tag -a "v$version" -m "Keystead $version"
fi
echo "release: in release/: $(cd release && echo *)"
