# The image of Keystead, for linux-amd64 and linux-arm64. docs/install.md says how it is used.
# `scripts/build-image.sh` builds it with the right arguments and the right tag.

# Node.js 20.9 or later with npm, on Debian. Its Node.js is the one of the image.
ARG BUILD_BASE=docker.io/library/node:22-bookworm
# Has what Node.js links to: glibc, libstdc++, libgcc, and the certificates of public authorities. It needs no shell.
ARG RUNTIME_BASE=gcr.io/distroless/cc-debian12

FROM ${BUILD_BASE} AS packages
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts

# The storage engine is native code. Its package has a binary for linux-amd64. For all others, and with ROCKSDB=source,
# it is built here from the sources in the package, which takes about ten minutes of processor time.
FROM packages AS rocksdb
ARG ROCKSDB=prebuilt
COPY scripts/rocksdb.mjs scripts/
# hadolint ignore=DL3008
RUN if [ "$ROCKSDB" = source ] || ! node scripts/rocksdb.mjs --check; then \
      apt-get update \
      && apt-get install -y --no-install-recommends binutils g++ libzstd-dev make python3 \
      && rm -rf /var/lib/apt/lists/* \
      && node scripts/rocksdb.mjs --from-source; \
    fi

FROM rocksdb AS build
COPY . .
RUN npm run --silent build && node scripts/pack-image.mjs /image

# This stage runs nothing, so that its base may be one without a shell.
FROM ${RUNTIME_BASE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Keystead" \
      org.opencontainers.image.description="An etcd v3.7 drop-in replacement for Kubernetes, in TypeScript" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.ref.name="keystead" \
      dev.keystead.sbom="/opt/keystead/sbom.cdx.json"
COPY --from=build /image/ /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# As in scripts/start.sh.
ENV GLIBC_TUNABLES=glibc.malloc.mxfast=0
# Clients, peers, and the metrics and health checks of kubeadm and of the Helm chart.
EXPOSE 2379 2380 2381
# kubeadm runs etcd as root, because the keys of the control plane belong to root. The chart and the compose files set the
# user 65532. As in the image of etcd there is no entry point.
CMD ["/usr/local/bin/etcd"]
