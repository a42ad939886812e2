#!/usr/bin/env bash
# Prints the name of a node image for `kind create cluster --image` that the Docker Engine in use holds.
#
#   e2e/cluster/node/image.sh
#
# kind's published image is taken where the engine can pull it; else the same thing is built from Go modules and Debian
# packages, cached by content. BALANCEFLEET_NODE_IMAGE=built|published decides without asking the network.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../scripts/lib.sh"
usage_when_asked "$@"

PUBLISHED=kindest/node:v1.34.0@sha256:7416a61b42b1662ca6ca89f02028ac133a309a2a30ba309614e8ec94d976dc5a
# What kind asks of a node: an init with D-Bus, a container runtime, and the tools of kubeadm, kube-proxy and port-forward.
NODE_PACKAGES=(systemd systemd-sysv dbus conntrack iptables nftables iproute2 ethtool util-linux mount kmod libseccomp2
  ca-certificates procps containerd runc containernetworking-plugins socat hostname)
PROXY_PACKAGES=(nftables iptables conntrack kmod)

have_image() { docker image inspect "$1" >/dev/null 2>&1; }

# One short question decides; a no is remembered for a day, since asking costs seconds where there is no network.
published_is_reachable() {
  local no=$cache/run/no-published-image
  case ${BALANCEFLEET_NODE_IMAGE:-} in
    published) return 0 ;;
    built) return 1 ;;
  esac
  [[ -z $(find "$no" -mmin -1440 2>/dev/null) ]] || return 1
  timeout 8 docker manifest inspect "$PUBLISHED" >/dev/null 2>&1 && return 0
  mkdir -p "$(dirname "$no")"
  touch "$no"
  progress "the published node image cannot be pulled here: building one"
  return 1
}

# archive TAR REFERENCE BINARY DESTINATION [ROOT]: an image with one program, as a tar that containerd imports.
archive() {
  local tar=$1 reference=$2 binary=$3 destination=$4 root=${5:-} context=$work/${2//[:\/]/_}
  mkdir -p "$context"
  cp "$binary" "$context/program"
  {
    echo 'FROM scratch'
    [[ -z $root ]] || { cp "$root" "$context/root.tar" && echo 'ADD root.tar /'; }
    echo "COPY program $destination"
    echo "ENTRYPOINT [\"$destination\"]"
  } >"$context/Dockerfile"
  docker build --quiet --tag "$reference" "$context"
  docker save "$reference" --output "$tar"
  docker image rm "$reference"
}

# The names are those that kubeadm asks for; the images under them are ours.
archive_control_plane() {
  local images=$1 version references reference name
  version=$("$kubernetes/kubelet" --version | cut -d' ' -f2)
  references=$("$kubernetes/kubeadm" config images list --kubernetes-version "$version")
  while read -r reference; do
    name=$(basename "${reference%:*}")
    case $name in
      kube-proxy) archive "$images/$name.tar" "$reference" "$kubernetes/$name" /usr/local/bin/kube-proxy "$proxy_root" ;;
      kube-*) archive "$images/$name.tar" "$reference" "$kubernetes/$name" "/usr/local/bin/$name" ;;
      etcd) archive "$images/$name.tar" "$reference" "$etcd/etcd" /usr/local/bin/etcd ;;
      coredns) archive "$images/$name.tar" "$reference" "$tools/coredns" /coredns ;;
      pause)
        echo "$reference" >"$work/pause-reference"
        archive "$images/$name.tar" "$reference" "$work/pause" /pause
        ;;
    esac
  done <<<"$references"
}

assemble() {
  local context=$work/context
  mkdir -p "$context"/{bin,images}
  gcc -O2 -static -o "$work/pause" "$here/pause.c"
  archive_control_plane "$context/images"
  cp -r "$here/Dockerfile" "$here/rootfs" "$context/"
  cp "$kubernetes"/{kubelet,kubeadm,kubectl} "$context/bin/"
  ln "$node_root" "$context/root.tar" 2>/dev/null || cp "$node_root" "$context/root.tar"
  sed -i "s#sandbox_image = .*#sandbox_image = \"$(<"$work/pause-reference")\"#" "$context/rootfs/etc/containerd/config.toml"
  docker build --quiet --tag "$built" "$context"
}

build() {
  # The roots come from the network while Go keeps the processors busy.
  "$e2e/scripts/debian-root.sh" minbase "${NODE_PACKAGES[@]}" >/dev/null &
  local roots=$!
  kubernetes=$("$here/../go/go.sh" kubernetes)
  tools=$("$here/../go/go.sh" tools)
  etcd=$("$here/../go/go.sh" etcd)
  wait "$roots" || fail "the Debian root of the node was not made" "look at the lines above"
  node_root=$("$e2e/scripts/debian-root.sh" minbase "${NODE_PACKAGES[@]}")
  proxy_root=$("$e2e/scripts/debian-root.sh" extract "${PROXY_PACKAGES[@]}")
  work=$(mktemp -d "$cache/node-image.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  quietly "assembling the node image" assemble
}

if published_is_reachable; then
  if ! have_image "$PUBLISHED"; then quietly "pulling the node image" docker pull --quiet "$PUBLISHED"; fi
  echo "$PUBLISHED"
else
  built=balancefleet/node:$(content_hash "$here" "$here/../go" "$e2e/scripts/debian-root.sh")
  if ! have_image "$built"; then build; fi
  echo "$built"
fi
