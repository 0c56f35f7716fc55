#!/usr/bin/env bash
# Builds the image for this machine's processor and prints its name, localhost/keystead:3.7.1-keystead.X.Y.Z
#
#   scripts/build-image.sh                     with Docker, Podman or Buildah, from the bases in the Dockerfile
#   scripts/build-image.sh --stand-in          without a container registry: the bases are made from Debian's packages and
#                                              the Node.js of this machine. Needs root, Buildah and debootstrap.
#
#   --from-source      builds RocksDB from the sources in its package, as for arm64
#   --archive FILE     also writes the image to FILE, for `docker load`, `podman load` and `ctr images import`
#   --name NAME        instead of localhost/keystead
#
# Further arguments go to the builder. The images of --stand-in are in a store of their own, .cache/image; use it with
# CONTAINERS_STORAGE_CONF=.cache/image/storage.conf
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

stand_in='' archive='' name=localhost/keystead
builder_flags=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --stand-in) stand_in=1 ;;
    --from-source) builder_flags+=(--build-arg ROCKSDB=source) ;;
    --archive) archive=$(realpath -m "$2"); shift ;;
    --name) name=$2; shift ;;
    *) builder_flags+=("$1") ;;
  esac
  shift
done
image=$name:$(node scripts/image-tag.mjs)
builder_flags+=(
  --build-arg "VERSION=$(node scripts/image-tag.mjs --version)"
  --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)"
  --tag "$image"
)

need() { # command...
  local each
  for each in "$@"; do
    command -v "$each" >/dev/null || { echo "build-image: $each is missing" >&2; exit 1; }
  done
}

# The bases are made once, and again when the Node.js of this machine or this script changes.
make_bases() {
  local folder=$root/.cache/image stamp
  mkdir -p "$folder"
  exec 9>"$folder/lock"
  flock 9
  cat >"$folder/storage.conf" <<EOF
[storage]
driver = "overlay"
graphroot = "$folder/store"
runroot = "$folder/run"
EOF
  export CONTAINERS_STORAGE_CONF=$folder/storage.conf
  stamp=$({ node --version; npm --version; cat "$root/scripts/build-image.sh"; } | sha256sum | cut -d' ' -f1)
  if [[ $(cat "$folder/stamp" 2>/dev/null) != "$stamp" ]]; then
    make_build_base "$folder/build-base"
    make_runtime_base "$folder/runtime-base"
    echo "$stamp" >"$folder/stamp"
  fi
  exec 9>&-
}

# Debian with the Node.js and npm of this machine, and the certificate authorities that this machine trusts.
make_build_base() { # folder
  local npm container
  rm -rf "$1"
  debootstrap --variant=minbase --include=ca-certificates,libstdc++6,libatomic1 bookworm "$1" >&2
  npm=$(npm root --global 2>/dev/null)/npm
  mkdir -p "$1/usr/local/lib/node_modules" "$1/usr/local/include"
  cp "$(node -p process.execPath)" "$1/usr/local/bin/node"
  cp -r "$npm" "$1/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$1/usr/local/bin/npm"
  cp -r "$(node -p 'require("node:path").join(process.execPath, "../../include/node")')" "$1/usr/local/include/node"
  cp -L /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
  container=$(buildah from scratch)
  buildah copy -q "$container" "$1" / >&2
  buildah config --env NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt "$container"
  buildah commit -q --rm "$container" localhost/keystead-build-base >&2
  rm -rf "$1"
}

# Only the libraries that Node.js links to, those that resolve names, and the certificates of public authorities.
make_runtime_base() { # folder
  local container library
  rm -rf "$1"
  mkdir -p "$1/etc/ssl/certs" "$1/tmp" "$1/var/lib" "$1/usr"
  chmod 1777 "$1/tmp"
  while read -r library; do
    mkdir -p "$1$(dirname "$library")"
    cp -L "$library" "$1$library"
  done < <(ldd "$(node -p process.execPath)" | grep -o '/[^ ]*'; find /lib /usr/lib -name 'libnss_dns.so.2' -o -name 'libnss_files.so.2' -o -name libresolv.so.2)
  cp -L /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
  printf 'hosts: files dns\n' >"$1/etc/nsswitch.conf"
  printf 'root:x:0:0::/root:/sbin/nologin\nnonroot:x:65532:65532::/nonexistent:/sbin/nologin\n' >"$1/etc/passwd"
  printf 'root:x:0:\nnonroot:x:65532:\n' >"$1/etc/group"
  container=$(buildah from scratch)
  buildah copy -q "$container" "$1" / >&2
  buildah commit -q --rm "$container" localhost/keystead-runtime-base >&2
  rm -rf "$1"
}

if [[ -n $stand_in ]]; then
  need buildah debootstrap flock
  [[ $(id -u) -eq 0 ]] || { echo 'build-image: --stand-in needs root' >&2; exit 1; }
  make_bases
  buildah bud --layers --isolation chroot --network host --pull-never \
    --build-arg BUILD_BASE=localhost/keystead-build-base --build-arg RUNTIME_BASE=localhost/keystead-runtime-base \
    "${builder_flags[@]}" . >&2
  if [[ -n $archive ]]; then rm -f "$archive"; buildah push -q "$image" "docker-archive:$archive:$image" >&2; fi
else
  builder=$(command -v docker || command -v podman || command -v buildah) || { echo 'build-image: Docker, Podman or Buildah is missing' >&2; exit 1; }
  "$builder" build "${builder_flags[@]}" . >&2
  case $builder in
    */buildah) if [[ -n $archive ]]; then buildah push -q "$image" "docker-archive:$archive:$image" >&2; fi ;;
    *) if [[ -n $archive ]]; then "$builder" save --output "$archive" "$image" >&2; fi ;;
  esac
fi
echo "$image"
