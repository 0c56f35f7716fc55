/** Where a node has its files and addresses. */
export interface NodePlace {
  /** Folder of everything that the node writes. */
  folder: string;
  /** Address of the node; that of the host's end of the link ends in 2. */
  address: string;
  /** Name of the cgroup of all pods. */
  cgroup: string;
}

export interface EtcdImage {
  repository: string;
  tag: string;
}

/** An etcd outside of the cluster, with paths on the node. */
export interface ExternalEtcd {
  endpoints: readonly string[];
  caFile: string;
  certFile: string;
  keyFile: string;
}

export const KUBERNETES_VERSION = 'v1.35.4';
export const COREDNS_VERSION = 'v1.14.7';

/** The socket of containerd, which can be reached from the host as well. */
export function containerdSocket({ folder }: NodePlace): string {
  return `${folder}/containerd.sock`;
}

/** The configuration of containerd: all its files in the folder of the node, one runtime, networks by ptp. */
export function containerdConfig(place: NodePlace, runtime: string): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return `version = 2
root = "${place.folder}/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "${containerdSocket(place)}"
[${cri}]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [${cri}.cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${place.folder}/cni"
  [${cri}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [${cri}.containerd.runtimes.runc.options]
      SystemdCgroup = false
      BinaryName = "${runtime}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${place.folder}/opt"
`;
}

/** Each pod has a link of its own to the node, which routes between them. */
export const NETWORK_CONFIG = {
  cniVersion: '0.4.0',
  name: 'pods',
  plugins: [
    {
      type: 'ptp',
      // So that pods reach the host, which has no route to them.
      ipMasq: true,
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: '10.244.0.0/24' }]],
        routes: [{ dst: '0.0.0.0/0' }],
        dataDir: '/run/cni-addresses',
      },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
};

/**
 * What `kubeadm init --config` reads. k8s/kubeadm-stacked.yaml and k8s/kubeadm-external.yaml of the project are the same
 * for a usual machine.
 */
export function kubeadmConfig(place: NodePlace, etcd: EtcdImage | ExternalEtcd): string {
  const documents = [
    {
      apiVersion: 'kubeadm.k8s.io/v1beta4',
      kind: 'InitConfiguration',
      localAPIEndpoint: { advertiseAddress: place.address, bindPort: 6443 },
      nodeRegistration: {
        name: 'node1',
        criSocket: `unix://${containerdSocket(place)}`,
        imagePullPolicy: 'Never',
        taints: [],
      },
    },
    {
      apiVersion: 'kubeadm.k8s.io/v1beta4',
      kind: 'ClusterConfiguration',
      kubernetesVersion: KUBERNETES_VERSION,
      imageRepository: 'localhost',
      networking: { podSubnet: '10.244.0.0/24', serviceSubnet: '10.96.0.0/16' },
      dns: { imageRepository: 'localhost', imageTag: COREDNS_VERSION },
      etcd:
        'endpoints' in etcd
          ? { external: etcd }
          : { local: { imageRepository: etcd.repository, imageTag: etcd.tag, dataDir: '/var/lib/etcd' } },
    },
    {
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      failCgroupV1: false,
      failSwapOn: false,
      cgroupDriver: 'cgroupfs',
      cgroupRoot: `/${place.cgroup}`,
      oomScoreAdj: 0,
      resolvConf: `${place.folder}/resolv.conf`,
      evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
    },
  ];
  return documents.map((document) => JSON.stringify(document)).join('\n---\n');
}

/**
 * Prepares the namespaces of the node and waits. All that Kubernetes writes to fixed folders goes to the folder of the
 * node, by overlays, so that the host's own folders do not change.
 */
export function setupScript({ folder, address }: NodePlace): string {
  return `set -e
hostname node1
mount --make-rshared /
for each in etc var opt usr/libexec; do
  mkdir -p "${folder}/upper/$each" "${folder}/work/$each"
  mount -t overlay overlay -o "lowerdir=/$each,upperdir=${folder}/upper/$each,workdir=${folder}/work/$each" "/$each"
done
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /var/log /var/lib/kubelet /etc/kubernetes
echo '127.0.0.1 localhost' >/etc/hosts
echo '${address} node1' >>/etc/hosts
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
echo prepared
exec sleep infinity
`;
}

/** Starts the kubelet as its service does, again and again, until kubeadm has written its configuration. */
export function kubeletLoop(kubelet: string): string {
  return `while :; do
  if [ -f /var/lib/kubelet/config.yaml ]; then
    . /var/lib/kubelet/kubeadm-flags.env
    ${kubelet} --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf \\
      --config=/var/lib/kubelet/config.yaml $KUBELET_KUBEADM_ARGS
  fi
  sleep 0.5
done
`;
}
