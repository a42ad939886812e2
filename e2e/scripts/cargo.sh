#!/usr/bin/env bash
# Runs Cargo on a copy of this clone's sources: like `cargo SUBCOMMAND [ARGUMENT…]` at the root of the clone.
#
#   e2e/scripts/cargo.sh SUBCOMMAND [ARGUMENT…]      for example: test --release --workspace --all-features --lib
#
# Cargo compiles again whatever is newer than the last build, and takes the crates of another folder for other crates. The
# copy is one folder for all clones, and a file in it changes only when its content does: a fresh clone compiles what
# differs from the last build, and nothing else. While one clone builds, another one waits.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
usage_when_asked "$@"
clone=$(dirname "$e2e")
sources=$CARGO_TARGET_DIR/sources

# list_files FOLDER: reads names of files, separated by NUL; prints mode and checksum of each that FOLDER has, with its name.
list_files() {
  local file
  while read -rd '' file; do [[ ! -f $1/$file ]] || printf '%s\0' "$file"; done >"$lists/names"
  (cd "$1" && { xargs -0r stat --printf '%a  %n\n' <"$lists/names" && xargs -0r sha256sum <"$lists/names"; } | LC_ALL=C sort)
}
copy_changes() {
  git -C "$clone" ls-files -z --cached --others --exclude-standard >"$lists/wanted"
  list_files "$clone" <"$lists/wanted" >"$lists/clone"
  # What property tests note of failed cases is tried again by the next run.
  (cd "$sources" && find . -name proptest-regressions -prune -o -type f -printf '%P\0') | list_files "$sources" >"$lists/copy"
  ! cmp -s "$lists/clone" "$lists/copy" || return 0
  mkdir -p "$CARGO_TARGET_DIR/release"
  exec 9>>"$CARGO_TARGET_DIR/release/.cargo-lock" # Cargo's own lock: held by each build
  flock --nonblock 9 || { echo "waiting for another build" >&2 && flock 9; }
  LC_ALL=C comm -13 "$lists/clone" "$lists/copy" | sed 's/^[^ ]*  //' | sort -u | (cd "$sources" && xargs -rd '\n' rm -f)
  LC_ALL=C comm -23 "$lists/clone" "$lists/copy" | sed 's/^[^ ]*  //' | sort -u | (cd "$clone" && xargs -rd '\n' cp --parents --target-directory "$sources")
  exec 9>&-
}

mkdir -p "$sources"
exec 8>>"$CARGO_TARGET_DIR/sources.lock"
flock 8
lists=$(mktemp -d -t balancefleet-cargo.XXXXXX)
trap 'rm -rf "$lists"' EXIT
copy_changes
rm -rf "$lists"
exec 8>&-
exec cargo "$1" --manifest-path "$sources/Cargo.toml" "${@:2}"
