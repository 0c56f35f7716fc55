#!/usr/bin/env bash
# Replaces the etcd of a kubeadm control-plane node by Keystead, and back. Run it on the node, as root.
#
#   kubeadm-swap.sh to-keystead --image IMAGE    imports etcd's data and starts Keystead; all is put back if that fails
#   kubeadm-swap.sh to-etcd [--image IMAGE]      takes a snapshot and starts etcd with it; only with a single member
#   kubeadm-swap.sh rollback                     starts etcd with its data from before to-keystead; what was written
#                                                since then is lost; only with a single member
#
#   --skip-check     to-keystead without `keystead migrate check`
#
# The images must be on the node (`ctr --namespace k8s.io images import`, or pulled). IMAGE of to-etcd is by default the
# one that to-keystead has replaced; to-etcd and rollback need its etcdutl. The API does not answer meanwhile.
# docs/install.md has the guide. Environment: CONTAINERD_ADDRESS, RUNC (another runc), READY_SECONDS (120).
set -Eeuo pipefail

manifests=/etc/kubernetes/manifests
pki=/etc/kubernetes/pki/etcd
saved=/etc/kubernetes/keystead-swap
keystead_dir=/var/lib/keystead
ready_seconds=${READY_SECONDS:-120}
# More changes than Keystead can have stored since the swap. It is the number that etcd's documentation names.
revision_bump=1000000000

action=${1:-}
image='' check=1
[[ $# -eq 0 ]] || shift
while [[ $# -gt 0 ]]; do
  case $1 in
    --image) image=${2:?}; shift ;;
    --skip-check) check='' ;;
    *) action='' ;;
  esac
  shift
done

say() { echo "kubeadm-swap: $SECONDS s: $*" >&2; }
fail() { say "$*"; exit 1; }

# The value of a flag of the member, from its manifest.
flag() { # manifest, flag
  sed -n "s/^ *- --$2=//p" "$1" | head -1
}

image_of() { # manifest
  sed -n 's/^ *image: //p' "$1" | head -1
}

has_image() { # image
  ctr --namespace k8s.io images list --quiet | grep -xF "$1" >/dev/null || fail "the image $1 is not on this node"
}

# Runs a command of an image with the network, the data directories and the certificates of the node.
run_image() { # image, command...
  local name=$1
  shift
  ctr --namespace k8s.io run --rm --net-host ${RUNC:+--runc-binary "$RUNC"} \
    --mount type=bind,src=/var/lib,dst=/var/lib,options=rbind:rw \
    --mount type=bind,src=/etc/kubernetes,dst=/etc/kubernetes,options=rbind:ro \
    "$name" "kubeadm-swap-$$-$RANDOM" "$@" >&2
}

with_certificates=(--endpoints=https://127.0.0.1:2379 "--cacert=$pki/ca.crt"
  "--cert=$pki/healthcheck-client.crt" "--key=$pki/healthcheck-client.key")

# How many members the cluster has, by the JSON API of the member of this node; 0 if it does not answer.
count_members() {
  local answer
  answer=$(curl -fsS --max-time 5 --cacert "$pki/ca.crt" --cert "$pki/healthcheck-client.crt" \
    --key "$pki/healthcheck-client.key" --data '{}' https://127.0.0.1:2379/v3/cluster/member/list) || answer=''
  grep -o '"peerURLs"' <<<"$answer" | wc -l || true
}

require_single_member() { # how many there are
  [[ $1 -ne 0 ]] || fail 'the member does not answer, so it is not known whether it is the only one'
  [[ $1 -eq 1 && $(flag "$saved/etcd.yaml" initial-cluster) != *,* ]] \
    || fail 'the cluster has several members: add members of etcd and remove those of Keystead instead'
}

# Makes a data directory of etcd, for the name and the URLs of its manifest.
restore() { # image, file, data directory, more flags...
  local manifest=$saved/etcd.yaml image=$1 from=$2 to=$3
  shift 3
  run_image "$image" etcdutl snapshot restore "$from" --data-dir "$to" --name "$(flag "$manifest" name)" \
    --initial-cluster "$(flag "$manifest" initial-cluster)" \
    --initial-advertise-peer-urls "$(flag "$manifest" initial-advertise-peer-urls)" "$@"
}

# The old directory is kept. The new one is complete, so a failure never leaves a part of the data under this name.
replace_directory() { # directory, new directory
  if [[ -e $1 ]]; then mv "$1" "$1.before-$(date +%s)"; fi
  mv "$2" "$1"
}

until_true() { # seconds, command...
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [[ $SECONDS -lt $end ]] || return 1
    sleep 0.2
  done
}

# No process has a file of this directory open.
unused() { # directory
  [[ -z $(find /proc/[0-9]*/fd -lname "$1/*" -print -quit 2>/dev/null) ]]
}

port_closed() { # port
  ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Without an API server nothing is written meanwhile. And the kubelet would wait for half a minute for an API server
# that waits for its etcd, before it starts the new member.
stop_api() {
  say 'stopping the API server'
  remove_manifest kube-apiserver
  until_true 120 port_closed 6443 || { say 'the API server does not stop'; return 1; }
}

start_api() { restore_manifest kube-apiserver; }

# The whole control plane stops, so that nothing of it keeps in memory the changes that a rollback undoes.
stop_control_plane() {
  say 'stopping the controller manager and the scheduler'
  remove_manifest kube-controller-manager
  remove_manifest kube-scheduler
  stop_api
  until_true 60 controllers_stopped || { say 'the controller manager or the scheduler does not stop'; return 1; }
}

controllers_stopped() { port_closed 10257 && port_closed 10259; }

start_controllers() {
  restore_manifest kube-controller-manager
  restore_manifest kube-scheduler
}

remove_manifest() { # name
  if [[ -f $manifests/$1.yaml ]]; then mv "$manifests/$1.yaml" "$saved/"; fi
}

restore_manifest() { # name
  if [[ -f $saved/$1.yaml ]]; then mv "$saved/$1.yaml" "$manifests/"; fi
}

stop_member() { # its data directory
  rm -f "$manifests/etcd.yaml"
  until_true 90 port_closed 2379 || { say 'the member does not stop'; return 1; }
  until_true 90 unused "$1/member" || { say "a process still uses $1"; return 1; }
}

start_member() { # manifest
  # The kubelet watches the folder, so the file must appear in it as a whole.
  cp "$1" "$manifests/.etcd.yaml.new"
  mv "$manifests/.etcd.yaml.new" "$manifests/etcd.yaml"
}

member_ready() { curl -fsS --max-time 2 -o /dev/null http://127.0.0.1:2381/readyz 2>/dev/null; }
api_ready() { curl -fsSk --max-time 2 -o /dev/null https://127.0.0.1:6443/readyz 2>/dev/null; }

wait_member() {
  until_true "$ready_seconds" member_ready || { say 'the new member is not ready'; return 1; }
}

# From here on there may be new writes, so nothing is put back any more.
finish() {
  local ready=1
  trap - ERR
  start_api
  until_true "$ready_seconds" api_ready || ready=''
  # They start last: without an API server they end, and then the kubelet waits before it starts them again.
  start_controllers
  [[ -n $ready ]] || fail 'the API server is not ready; look at its log in /var/log/pods'
}

require_manifest() {
  [[ -f $manifests/etcd.yaml ]] || fail "$manifests/etcd.yaml is missing: this is no node with a stacked etcd"
}

to_keystead() {
  [[ -n $image ]] || fail 'name the image of Keystead with --image'
  require_manifest
  local current=$manifests/etcd.yaml etcd_dir
  etcd_dir=$(flag "$current" data-dir)
  [[ $etcd_dir != "$keystead_dir" ]] || fail 'this node runs Keystead already'
  [[ ! -e $keystead_dir ]] || fail "$keystead_dir exists: move it away"
  has_image "$image"
  if [[ -n $check ]]; then
    run_image "$image" keystead migrate check "${with_certificates[@]}" --data-dir "$etcd_dir" --target-dir "$keystead_dir" \
      || fail 'this cluster cannot be migrated as it is; nothing was changed'
  fi
  mkdir -p "$saved"
  cp "$current" "$saved/etcd.yaml"
  count_members >"$saved/members"
  sed -e "s#^\( *\)image: .*#\1image: $image#" -e "s#$etcd_dir#$keystead_dir#g" "$current" >"$saved/keystead.yaml"

  trap 'say "failed; starting etcd again"; put_back "$saved/etcd.yaml"; exit 1' ERR
  stop_api
  say 'stopping etcd'
  stop_member "$etcd_dir"
  say 'importing its data'
  run_image "$image" keystead import --from "$etcd_dir" --data-dir "$keystead_dir"
  say 'starting Keystead'
  start_member "$saved/keystead.yaml"
  wait_member
  finish
  say "done. etcd's data stays in $etcd_dir"
}

# After a failure: the member that ran before runs again, with the data that it had.
put_back() { # manifest
  trap - ERR
  rm -f "$manifests/etcd.yaml"
  until_true 90 port_closed 2379 || true
  start_member "$1"
  # The API server starts in any case: it waits for its member.
  wait_member || true
  finish
  say 'the cluster runs as before'
  # A swap that failed leaves nothing that a next try would take for data.
  if [[ $1 == "$saved/etcd.yaml" && -e $keystead_dir ]]; then
    mv "$keystead_dir" "$keystead_dir.failed-$(date +%s)"
  fi
}

to_etcd() {
  require_manifest
  local current=$manifests/etcd.yaml etcd_dir new_dir snapshot keystead_image
  [[ -f $saved/etcd.yaml ]] || fail "$saved/etcd.yaml is missing: this node had no etcd before"
  [[ $(flag "$current" data-dir) == "$keystead_dir" ]] || fail 'this node does not run Keystead'
  if [[ -n $image ]]; then sed -i "s#^\( *\)image: .*#\1image: $image#" "$saved/etcd.yaml"; fi
  image=$(image_of "$saved/etcd.yaml")
  has_image "$image"
  keystead_image=$(image_of "$current")
  etcd_dir=$(flag "$saved/etcd.yaml" data-dir)
  require_single_member "$(count_members)"
  snapshot=$keystead_dir-snapshot-$(date +%s).db
  cp "$current" "$saved/keystead.yaml"

  trap 'say "failed; starting Keystead again"; put_back "$saved/keystead.yaml"; exit 1' ERR
  stop_api
  say 'taking a snapshot'
  run_image "$keystead_image" keystead snapshot save "$snapshot" "${with_certificates[@]}"
  say 'stopping Keystead'
  stop_member "$keystead_dir"
  new_dir=$etcd_dir.new-$(date +%s)
  restore "$image" "$snapshot" "$new_dir"
  replace_directory "$etcd_dir" "$new_dir"
  say 'starting etcd'
  start_member "$saved/etcd.yaml"
  wait_member
  finish
  mv "$keystead_dir" "$keystead_dir.before-$(date +%s)"
  say "done. The snapshot is $snapshot"
}

rollback() {
  local current=$manifests/etcd.yaml etcd_dir new_dir members
  [[ -f $saved/etcd.yaml ]] || fail "$saved/etcd.yaml is missing: this node had no etcd before"
  [[ ! -f $current || $(flag "$current" data-dir) == "$keystead_dir" ]] || fail 'this node does not run Keystead'
  image=$(image_of "$saved/etcd.yaml")
  has_image "$image"
  members=$(count_members)
  # Keystead may be what does not work. Then the number from before the swap decides.
  if [[ $members -eq 0 && -f $saved/members ]]; then members=$(<"$saved/members"); fi
  require_single_member "$members"
  etcd_dir=$(flag "$saved/etcd.yaml" data-dir)
  [[ -f $etcd_dir/member/snap/db ]] || fail "$etcd_dir has no data of etcd"
  unused "$etcd_dir/member" || fail "a process still uses $etcd_dir"

  # A client of the API server watches from the newest revision that it has seen. Its watch would show nothing until the
  # store has that revision again, and would never show the changes before it. So the store gets a revision that no
  # client has seen, and all older ones count as compacted: then every client lists all objects again. etcd has closed
  # its file after its last change, so the file is complete.
  say "restoring etcd's data with a higher revision"
  new_dir=$etcd_dir.new-$(date +%s)
  restore "$image" "$etcd_dir/member/snap/db" "$new_dir" \
    --skip-hash-check --bump-revision "$revision_bump" --mark-compacted \
    || { rm -rf "$new_dir"; fail 'the cluster runs as before'; }
  if [[ -f $current ]]; then cp "$current" "$saved/keystead.yaml"; fi

  trap 'say "failed; starting Keystead again"; put_back "$saved/keystead.yaml"; exit 1' ERR
  stop_control_plane
  say 'stopping Keystead'
  stop_member "$keystead_dir"
  replace_directory "$etcd_dir" "$new_dir"
  say 'starting etcd'
  start_member "$saved/etcd.yaml"
  wait_member
  finish
  mv "$keystead_dir" "$keystead_dir.rolled-back-$(date +%s)"
  say "done. etcd's directory from before is kept beside $etcd_dir"
}

case $action in
  to-keystead) to_keystead ;;
  to-etcd) to_etcd ;;
  rollback) rollback ;;
  *)
    sed -n '2,/^set /p' "${BASH_SOURCE[0]}" | sed '$d; s/^# \{0,1\}//; /^set /d' >&2
    exit 2
    ;;
esac
