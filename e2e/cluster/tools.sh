#!/usr/bin/env bash
# Provides kind, helm and kubectl: uses those in PATH if their versions fit, otherwise builds them and links them into
# <cache>/bin.
#
#   e2e/cluster/tools.sh [kind] [helm] [kubectl]      (default: all)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"

# kubectl supports API servers one minor version away, hence a range. kind and helm may be newer, within their major
# version.
suits() {
  local version
  case $1 in
    kind) version=$("$1" version) ;;
    helm) version=$("$1" version --short) ;;
    kubectl) version=$("$1" version --client -o json | jq -r .clientVersion.gitVersion) ;;
  esac 2>/dev/null || return 1
  case $1 in
    kind) [[ $version =~ v0\.([0-9]+) ]] && ((BASH_REMATCH[1] >= 30)) ;;
    helm) [[ $version =~ v([0-9]+)\. ]] && ((BASH_REMATCH[1] == 4)) ;;
    kubectl) [[ $version =~ v1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= 33 && BASH_REMATCH[1] <= 35)) ;;
  esac
}

module_of() { if [[ $1 == kubectl ]]; then echo kubernetes; else echo tools; fi; }

[[ $# -gt 0 ]] || set -- kind helm kubectl
mkdir -p "$cache/bin"
for tool; do
  if [[ ! -x $cache/bin/$tool ]] && has "$tool" && suits "$tool"; then continue; fi
  built=$("$here/go/go.sh" "$(module_of "$tool")" "$tool")
  ln -sfn "$built/$tool" "$cache/bin/$tool"
done
