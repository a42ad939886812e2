#!/usr/bin/env bash
# Sees to kind, helm and kubectl: those of PATH where they are new enough, else built and linked into <cache>/bin.
#
#   e2e/cluster/tools.sh [kind] [helm] [kubectl]      (default: all)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"

# A kubectl one minor version away from the API server is supported, so a range; of the others a newer one will do.
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
