#!/usr/bin/env bash
# Checks what a part of this project needs on the machine and, as root on Debian or Ubuntu, installs what is missing.
#
#   e2e/scripts/prerequisites.sh [rust] [kafka] [postgres] [cluster] [charts] [compose] [control-plane] [python] [plot]
#                                [bench] [profile] [release]
#   (default: all but the last three)
#
# Without root, prints the one command that installs the rest and exits 1. Rust and Go must already be installed, in the
# versions at the top of this script or newer. The installation starts and enables no service.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
usage_when_asked "$@"

RUST=1.95 GO=1.26 JAVA=17 POSTGRES=15 COMPOSE=1.29
packages=() complaints=()

# need PACKAGES COMMAND…: adds the packages to the list if COMMAND fails.
need() {
  local wanted=$1
  shift
  # shellcheck disable=SC2206 # several packages in one word
  "$@" >/dev/null 2>&1 || packages+=($wanted)
}

# at_least MINIMUM VERSION: compares version numbers, not text.
at_least() { [[ -n $2 && $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]; }

# first_number COMMAND…: prints the first version number in COMMAND's output.
first_number() { "$@" 2>&1 | grep -oE '[0-9]+(\.[0-9]+)*' | head -n 1 || true; }

java_is_new_enough() { has java && at_least "$JAVA" "$(first_number java -version)"; }
postgres_is_there() { [[ -x $("$e2e/postgres/bin.sh" "$POSTGRES")/postgres ]]; }
engine_is_there() { has docker && { has dockerd || timeout 5 docker info; }; }

need_rust() {
  has cargo || complaints+=("cargo is missing: install Rust $RUST or newer with rustup")
  ! has cargo || at_least "$RUST" "$(first_number cargo --version)" ||
    complaints+=("cargo is $(first_number cargo --version), but $RUST or newer is required: rustup update stable")
  need gcc has gcc
  need g++ has g++
  need make has make
  need pkg-config has pkg-config
  need libssl-dev pkg-config --exists openssl
  need zlib1g-dev pkg-config --exists zlib
  need shellcheck has shellcheck
}
need_go() {
  has go || complaints+=("go is missing: install Go $GO or newer")
  ! has go || at_least "$GO" "$(first_number go env GOVERSION)" ||
    complaints+=("go is $(first_number go env GOVERSION), but $GO or newer is required")
}
need_kafka() {
  need default-jre-headless java_is_new_enough
  need openssl has openssl
  need maven has mvn
}
need_python() { need "python3 python3-venv" python3 -c "import ensurepip, venv"; }
need_plot() { need gnuplot-nox has gnuplot; }
need_bench() { need default-jdk-headless has javac; }
need_profile() { need linux-perf has perf; }
# Clang and LLVM of the version that rustc contains: they read each other's profiles and intermediate code.
need_release() {
  local llvm
  llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
  need "clang-$llvm" has "clang-$llvm"
  need "lld-$llvm" has "ld.lld-$llvm"
  need "llvm-$llvm" has "llvm-profdata-$llvm"
  need "libclang-rt-$llvm-dev" test -d "/usr/lib/llvm-$llvm/lib/clang/$llvm/lib/linux"
}
need_postgres() {
  need postgresql postgres_is_there
  need openssl has openssl
}
need_cluster() {
  need_go
  need docker.io engine_is_there
  need mmdebstrap has mmdebstrap
  need "gcc libc6-dev" has gcc
  need iptables has iptables
  need python3 test -x /usr/bin/python3
}
need_charts() { need_go; }
# docker-compose of Debian 12 and Ubuntu is the last of the old one; Ubuntu has the new one under another name.
need_compose() {
  local version
  need docker.io engine_is_there
  need iptables has iptables
  need mmdebstrap has mmdebstrap
  if find_compose; then
    version=$(first_number "${compose_command[@]}" version --short)
    at_least "$COMPOSE" "$version" ||
      complaints+=("Docker Compose (${compose_command[*]}) is ${version:-of an unknown version}, but $COMPOSE or newer is required: remove it from PATH, or install the Docker Compose plugin")
  elif apt-cache show docker-compose-v2 >/dev/null 2>&1; then
    packages+=(docker-compose-v2)
  else
    packages+=(docker-compose)
  fi
}
need_control-plane() {
  need_go
  need openssl has openssl
}
need_always() {
  need curl has curl
  need jq has jq
  need procps has ps
  need util-linux has flock
  need ca-certificates test -s /etc/ssl/certs/ca-certificates.crt
}

# Keeps packages from starting their services: neither a system PostgreSQL nor a system Docker is wanted.
refuse_services() {
  [[ ! -e /usr/sbin/policy-rc.d ]] || return 0
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
}

install() {
  apt-get install -y -q --no-install-recommends "$@" >>"$log" 2>&1 ||
    fail "apt-get could not install: $*" "look at $log"
}

install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp -t balancefleet-apt.XXXXXX)
  progress "installing ${packages[*]}"
  refuse_services
  apt-get update -q >>"$log" 2>&1 || fail "apt-get update failed" "look at $log"
  if [[ " ${packages[*]} " == *" postgresql "* ]]; then
    # Debian would create a cluster by default, but tests create their own.
    install postgresql-common
    sed -ri 's/^#?(create_main_cluster) .*$/\1 = false/' /etc/postgresql-common/createcluster.conf
  fi
  install "${packages[@]}"
  rm -f "$log"
}

[[ $# -gt 0 ]] || set -- rust kafka postgres cluster charts compose control-plane python plot
need_always
for part; do
  declare -F "need_$part" >/dev/null || fail "unknown part $part" "e2e/scripts/prerequisites.sh --help"
  "need_$part"
done

# Report first what only the user can fix, before spending minutes on the rest.
if [[ ${#complaints[@]} -gt 0 ]]; then
  printf 'error: %s\n' "${complaints[@]}" | sort -u >&2
  exit 1
fi
if [[ ${#packages[@]} -gt 0 ]]; then
  mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
  has apt-get || fail "missing (Debian names): ${packages[*]}" "install them with your system's package manager"
  [[ $EUID -eq 0 ]] || fail "missing: ${packages[*]}" "sudo apt-get install --no-install-recommends ${packages[*]}"
  install_packages
fi
