#!/usr/bin/env bash
# Builds programs of one Go module of this folder and prints the folder that holds them.
#
#   e2e/cluster/go/go.sh MODULE [PROGRAM…]      MODULE: kubernetes, etcd or tools; default: all its programs
#
# Cached by the content of the module. All of Kubernetes takes minutes the first time.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../scripts/lib.sh"
usage_when_asked "$@"
[[ $# -gt 0 && -f $here/$1/go.mod ]] || fail "unknown module ${1:-}" "e2e/cluster/go/go.sh --help"

module=$1
cd "$here/$module"
target=$cache/go-$module-$(content_hash "$here/$module" "$here/go.sh")

# Not `go list tool`: that downloads every module before it answers.
declare -A package_of
while read -r package; do
  name=$(basename "${package%/v[0-9]}")
  [[ $package != go.etcd.io/etcd/server/* ]] || name=etcd
  package_of[$name]=$package
done < <(awk '$1 == "tool" && $2 != "(" { print $2 } /^tool \($/ { inside = 1; next } /^\)/ { inside = 0 } inside { print $1 }' go.mod)

# kubeadm and kubelet compare their version with the API server's, so it has to be in the binaries.
linker_flags() {
  local flags='-s -w' version key=k8s.io/component-base/version
  if [[ $module == kubernetes ]]; then
    version=$(awk '$1 == "k8s.io/kubernetes" { print $2 }' go.mod)
    flags+=" -X $key.gitVersion=$version -X $key.gitMajor=1 -X $key.gitMinor=$(cut -d. -f2 <<<"$version")"
  fi
  echo "$flags"
}

# One call for all: they share most of their packages. The folder's name for etcd's main package is "server".
build() {
  local part=$target.part.$$
  mkdir -p "$part" "$target"
  CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "$(linker_flags)" -o "$part/" "$@"
  [[ ! -f $part/server ]] || mv "$part/server" "$part/etcd"
  mv "$part"/* "$target/"
  rmdir "$part"
}

[[ $# -gt 1 ]] || set -- "$module" "${!package_of[@]}"
missing=() packages=()
for program in "${@:2}"; do
  [[ -n ${package_of[$program]:-} ]] || fail "$module has no program $program" "it has: ${!package_of[*]}"
  [[ -x $target/$program ]] || { missing+=("$program") && packages+=("${package_of[$program]}"); }
done
if [[ ${#missing[@]} -gt 0 ]]; then
  quietly "building ${missing[*]}" build "${packages[@]}"
fi
echo "$target"
