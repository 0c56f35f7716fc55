#!/usr/bin/env bash
# Makes a kind cluster whose etcd is Keystead, installs the chart in it, and runs the tests that need a whole cluster.
#
#   scripts/kind-e2e.sh [kind/single.yaml | kind/ha.yaml | kind/external.yaml]
#
# Needs Docker, kind, kubectl, Helm and Node.js. The cluster is deleted at the end, unless KEEP=1 is set. NODE_IMAGE is
# the node image to start from; it must fit to the installed kind.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

config=${1:-kind/single.yaml}
cluster=$(sed -n 's/^name: //p' "$config")
tag=$(node scripts/image-tag.mjs)
work=$(mktemp -d)
node_image=${NODE_IMAGE:-docker.io/kindest/node:v1.35.0}
builder=keystead-node-image-$$
made=''

for command in docker kind kubectl helm; do
  command -v "$command" >/dev/null || { echo "kind-e2e: $command is missing" >&2; exit 1; }
done

clean_up() {
  docker rm --force "$builder" >/dev/null 2>&1 || true
  if [[ -n $made && ${KEEP:-} != 1 ]]; then
    kind delete cluster --name "$cluster" || true
    if [[ $config == kind/external.yaml ]]; then docker compose --profile single down --volumes || true; fi
  fi
  rm -rf "$work"
}
trap clean_up EXIT

# The chart uses localhost/keystead, and kubeadm <imageRepository>/etcd.
scripts/build-image.sh
docker tag "localhost/keystead:$tag" "localhost/keystead/etcd:$tag"
docker save --output "$work/keystead.tar" "localhost/keystead:$tag" "localhost/keystead/etcd:$tag"

# kubeadm starts etcd before images can be loaded into a running node. So they are put into the node's image, as kind
# itself does for those of Kubernetes.
docker run --detach --name "$builder" --entrypoint sleep "$node_image" infinity >/dev/null
docker exec --detach "$builder" containerd
for _ in $(seq 30); do
  if docker exec "$builder" ctr version >/dev/null 2>&1; then break; fi
  sleep 1
done
docker cp "$work/keystead.tar" "$builder:/keystead.tar"
docker exec "$builder" ctr --namespace k8s.io images import --no-unpack /keystead.tar
docker exec "$builder" rm /keystead.tar
docker exec "$builder" pkill --exact containerd
docker commit --change 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' "$builder" keystead/kind-node >/dev/null

if [[ $config == kind/external.yaml ]]; then
  docker network inspect kind >/dev/null 2>&1 || docker network create kind >/dev/null
  docker compose --profile single up --detach --wait
  docker network connect kind keystead
fi

made=1
kind create cluster --config "$config" --image keystead/kind-node --kubeconfig "$work/kubeconfig" --wait 5m
export KUBECONFIG=$work/kubeconfig
if [[ $config != kind/external.yaml ]]; then
  kubectl --namespace kube-system get pods --selector component=etcd --output 'jsonpath={.items[*].spec.containers[*].image}' \
    | grep -q "localhost/keystead/etcd:$tag"
fi

helm install keystead helm/keystead --namespace etcd --create-namespace --set antiAffinity=preferred --wait --timeout 10m
helm test keystead --namespace etcd
kubectl --namespace etcd get pods

KEYSTEAD_KUBECONFIG=$KUBECONFIG npm run e2e:kubeconfig
echo "kind-e2e: all done with $config"
