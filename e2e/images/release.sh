#!/usr/bin/env bash
# Builds the worker as it is released: optimised across its libraries (link time), and by a profile of a worker that
# works. Prints the folder of the binaries: balance-worker, which runs on every processor of this machine's kind, and on
# x86-64 also x86-64-v3/balance-worker, as which the first one goes on where the processor has AVX2.
#
#   e2e/images/release.sh
#
# The C libraries are compiled with the same compiler back end as the Rust code (Clang and LLVM of rustc's version), so
# that the profile covers them too. The profile is recorded here: a worker with counters reads, commits to a changelog
# and to PostgreSQL, restores and answers requests, on a Kafka and a PostgreSQL of its own. Takes about 20 minutes on
# two cores. Cached by the content of everything compiled; builds in folders of its own.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"
clone=$(cd "$here/../.." && pwd)

machine=$(uname -m)
triple=$machine-unknown-linux-gnu
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
# The first one is the baseline, on which the others' instructions may be missing.
case $machine in
  x86_64) levels=(x86-64 x86-64-v3) ;;
  *) levels=(generic) ;;
esac

# compile NAME PROCESSOR PROFILE_FLAG: compiles the worker in a folder of its own, for that processor. PROFILE_FLAG goes
# to both compilers.
compile() {
  local folder=$building/$1 processor=$2 profile=$3
  local c="-O3 -march=$processor -flto=thin $profile" rust="-C target-cpu=$processor -C ${profile#-f}"
  [[ $machine == x86_64 ]] || c=${c/-march=/-mcpu=}
  CARGO_TARGET_DIR=$folder CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 \
    CC=clang-$llvm CXX=clang++-$llvm AR=llvm-ar-$llvm NM=llvm-nm-$llvm RANLIB=llvm-ranlib-$llvm \
    CFLAGS=$c CXXFLAGS=$c LDFLAGS="-fuse-ld=lld -Wl,--undefined-version $profile" \
    RUSTFLAGS="$rust -C linker-plugin-lto -C linker=clang-$llvm -C link-arg=-fuse-ld=lld" \
    quietly "building the worker ($1)" "$e2e/scripts/cargo.sh" build --release --locked --workspace --all-features \
    --bin balance-worker --target "$triple"
}

# What the profile is recorded with: the benchmarks' work, with less data.
train() {
  quietly "building the benchmarks" "$e2e/scripts/cargo.sh" build --release --locked --workspace --all-features --bins
  record catch-up exactly-once restore latency rest --store replay,changelog
  record exactly-once restore --store postgres
}
record() {
  LLVM_PROFILE_FILE=$building/profiles/%m-%p.profraw quietly "recording the profile: $*" \
    "$e2e/kafka/with-kafka.sh" "$e2e/postgres/with-postgres.sh" "$CARGO_TARGET_DIR/release/balancefleet-bench" run "$@" \
    --alone --rounds 1 --records 400000 --worker "$building/counters/$triple/release/balance-worker" \
    --output "$building/training" --peers / --kafka-version "of this project" --typed "$0"
}

build() {
  building=$cache/release
  rm -rf "$building"
  mkdir -p "$building"/{profiles,training}
  compile counters "${levels[0]}" "-fprofile-generate"
  train
  "llvm-profdata-$llvm" merge --output "$building/merged.profdata" "$building"/profiles/*.profraw
  for level in "${levels[@]}"; do
    compile "$level" "$level" "-fprofile-use=$building/merged.profdata"
    mkdir "$1/$level"
    cp "$building/$level/$triple/release/balance-worker" "$1/$level/"
  done
  mv "$1/${levels[0]}/balance-worker" "$1/"
  rmdir "$1/${levels[0]}"
  rm -rf "$building"
}

"$e2e/scripts/prerequisites.sh" rust kafka postgres release
content=$(content_hash "$clone"/{Cargo.toml,Cargo.lock,{kafka,worker}/{Cargo.toml,src}} "$here/release.sh" && rustc -vV)
cached release-worker "$(sha256sum <<<"$content" | cut -c1-16)" build
