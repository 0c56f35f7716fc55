#!/usr/bin/env bash
# Builds the real programs for the end-to-end tests into .cache/peers/bin.
#
#   scripts/build-peers.sh [group...]      groups: etcd benchmark load h2spec common s3 kubernetes (default: all of these, in this order)
#                                          and node, the programs of a real node, which only `npm run e2e:node` needs
#                                          and helm and promtool, which only `npm run check:deploy` needs
#                                          and prometheus, which only `npm run e2e:alerts` needs
#
# A binary is built again only when go.mod, go.sum or the sources of its module change. Without Go nothing is built, and
# the tests that need these programs are skipped.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
peers=$root/e2e/peers
out=$root/.cache/peers
mkdir -p "$out/bin" "$out/stamps"

if ! command -v go >/dev/null; then
  echo "peers: Go is not installed; tests against real peers will be skipped"
  exit 0
fi

# Only one build runs at a time. Two would compete for the same processors.
exec 9>"$out/lock"
if command -v flock >/dev/null; then flock 9; fi

export GOFLAGS='-mod=readonly -buildvcs=false'
export CGO_ENABLED=0

stamp_of() { # module folder, extra text
  { cat "$1/go.mod" "$1/go.sum"; find "$1" -mindepth 2 -name '*.go' -exec cat {} +; go version; echo "$2"; } | sha256sum | cut -d' ' -f1
}

build() { # module folder, binary, package, go command with its flags...
  local module=$1 binary=$2 package=$3 wanted started
  shift 3
  wanted=$(stamp_of "$module" "$package $*")
  if [[ -x $out/bin/$binary && $(cat "$out/stamps/$binary" 2>/dev/null) == "$wanted" ]]; then return; fi
  started=$SECONDS
  echo "peers: building $binary"
  (cd "$module" && nice -n "${PEERS_NICE:-10}" "$@" -o "$out/bin/.$binary.new" "$package")
  mv "$out/bin/.$binary.new" "$out/bin/$binary"
  echo "$wanted" >"$out/stamps/$binary"
  echo "peers: $binary built in $((SECONDS - started)) s"
}

group_etcd() {
  build "$peers" etcd go.etcd.io/etcd/server/v3 go build
  build "$peers" etcdctl go.etcd.io/etcd/etcdctl/v3 go build
  build "$peers" etcdutl go.etcd.io/etcd/etcdutl/v3 go build
}

group_benchmark() {
  build "$peers/benchmark" benchmark go.etcd.io/etcd/v3/tools/benchmark go build
}

# The load generator of `npm run bench`. Its sources are part of this repository.
group_load() {
  local module=$root/scripts/bench/load-generator
  build "$module" load . env SOURCES="$(cat "$module"/*.go | sha256sum)" go build
}

group_h2spec() {
  build "$peers/h2spec" h2spec github.com/summerwind/h2spec/cmd/h2spec go build
}

# etcd's tests are built from a copy of their module. e2e/common adds files that select the kind of cluster.
group_common() {
  local added=$root/e2e/common copy=$out/common version
  version=$(cat "$added"/*.go "$root/scripts/build-peers.sh" | sha256sum | cut -d' ' -f1)
  copy_common "$added" "$copy"
  build "$peers" common.test go.etcd.io/etcd/tests/v3/common \
    env ADDED="$version" go test -c -tags e2e -modfile="$copy/go.mod"
}

copy_common() { # folder of what is added, folder of the copy
  local module=go.etcd.io/etcd/tests/v3 source
  source=$(cd "$peers" && go mod download "$module" && go list -m -f '{{.Dir}}' "$module")
  [[ -d $source/common ]] || { echo "peers: the sources of $module are missing" >&2; return 1; }
  rm -rf "$2"
  mkdir -p "$2/tests"
  cp -r "$source/." "$2/tests"
  chmod -R u+w "$2"
  # Go initializes files in the order of their names, and the added ones must be the last.
  cp "$1/variant_test.go" "$2/tests/common/z_variant_test.go"
  cp "$1/client_tls.go" "$2/tests/framework/e2e/z_client_tls.go"
  sed -i 's/^\(\t*\)Token: *ctl.authConfig.Token,$/&\n\1TLS: tlsOf(ctl.cfg),/' "$2/tests/framework/e2e/etcdctl.go"
  grep -q 'tlsOf(ctl.cfg)' "$2/tests/framework/e2e/etcdctl.go"
  # Each test expects its cluster to start, work and stop within about ten seconds. Here several share two processors.
  sed -i -E 's/(WithTimeout\(t\.Context\(\), |ctxTimeout := )([0-9]+ ?\* ?time\.Second)/\14*\2/' "$2"/tests/common/*_test.go
  cp "$peers/go.mod" "$peers/go.sum" "$2"
  (cd "$2" && go mod edit -replace="$module=$2/tests")
}

# An S3 server that checks signatures, for the tests of backups.
group_s3() {
  build "$peers/s3" versitygw github.com/versity/versitygw/cmd/versitygw go build -ldflags '-s -w'
}

group_kubernetes() {
  local module=$peers/kubernetes version program
  version=$(cd "$module" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
  for program in kube-apiserver kube-controller-manager kube-scheduler; do
    build "$module" "$program" "./$program" go build -ldflags "-s -w $(kubernetes_version_flags "$version")"
  done
}

group_node() {
  local module=$peers/node version program
  version=$(cd "$module" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
  for program in kubelet kubeadm kubectl kube-proxy; do
    build "$module" "$program" "k8s.io/kubernetes/cmd/$program" go build -ldflags "-s -w $(kubernetes_version_flags "$version")"
  done
  build "$peers/coredns" coredns . env SOURCES="$(sha256sum <"$peers/coredns/main.go")" go build -ldflags '-s -w'
}

# Renders and checks the chart in helm/.
group_helm() {
  local module=$peers/helm version
  version=$(cd "$module" && go list -m -f '{{.Version}}' helm.sh/helm/v4)
  build "$module" helm helm.sh/helm/v4/cmd/helm go build -ldflags "-s -w -X helm.sh/helm/v4/internal/version.version=$version"
}

# Checks the alerts in monitoring/ and runs their tests.
group_promtool() {
  local module=$peers/promtool version
  version=$(cd "$module" && go list -m -f '{{.Version}}' github.com/prometheus/prometheus)
  build "$module" promtool github.com/prometheus/prometheus/cmd/promtool \
    go build -ldflags "-s -w -X github.com/prometheus/common/version.Version=$version"
}

# Evaluates the alerts in real faults. It needs neither its pages nor the discovery of targets in clouds.
group_prometheus() {
  local module=$peers/promtool version
  version=$(cd "$module" && go list -m -f '{{.Version}}' github.com/prometheus/prometheus)
  build "$module" prometheus github.com/prometheus/prometheus/cmd/prometheus \
    go build -tags remove_all_sd -ldflags "-s -w -X github.com/prometheus/common/version.Version=$version"
}

# The version of Kubernetes is set at link time. Without it the programs would report v0.0.0.
kubernetes_version_flags() { # v1.35.4
  local number=${1#v} variables=k8s.io/component-base/version
  local major=${number%%.*} rest=${number#*.}
  echo "-X $variables.gitVersion=$1 -X $variables.gitMajor=$major -X $variables.gitMinor=${rest%%.*}"
}

began=$SECONDS
groups=("$@")
if [[ ${#groups[@]} -eq 0 ]]; then groups=(etcd benchmark load h2spec common s3 kubernetes); fi
for group in "${groups[@]}"; do
  case $group in
    etcd | benchmark | load | h2spec | common | s3 | kubernetes | node | helm | promtool | prometheus) "group_$group" ;;
    *)
      echo "peers: unknown group $group" >&2
      exit 2
      ;;
  esac
done
echo "peers: ready in .cache/peers/bin after $((SECONDS - began)) s"
