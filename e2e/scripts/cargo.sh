#!/usr/bin/env bash
# Runs Cargo on a copy of this clone's sources: like `cargo SUBCOMMAND [ARGUMENT…]` at the root of the clone.
#
#   e2e/scripts/cargo.sh SUBCOMMAND [ARGUMENT…]      for example: test --release --workspace --all-features --lib
#
# Cargo compiles again whatever is newer than the last build, and takes the crates of another folder for other crates. The
# copy is one folder for all clones, and a file in it changes only when its content does: a fresh clone compiles what
# differs from the last build, and nothing else. The copy does not change while Cargo, or what Cargo runs, uses it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
usage_when_asked "$@"
clone=$(dirname "$e2e")
sources=$CARGO_TARGET_DIR/sources

# list_files FOLDER: reads names of files, separated by NUL; prints checksum and name of each that FOLDER has, and another
# line if it can be executed.
list_files() {
  local file
  while read -rd '' file; do
    [[ -f $1/$file ]] || continue
    printf '%s\0' "$file"
    [[ ! -x $1/$file ]] || printf 'executable  %s\n' "$file" >&4
  done 4>"$lists/executables" >"$lists/names"
  (cd "$1" && xargs -0r sha256sum <"$lists/names" | cat - "$lists/executables" | LC_ALL=C sort)
}
# compare: lists in $lists/outdated what is in the copy and not, or not so, in the clone, and in $lists/new the reverse.
compare() {
  git -C "$clone" ls-files -z --cached --others --exclude-standard >"$lists/wanted"
  list_files "$clone" <"$lists/wanted" >"$lists/clone"
  (cd "$sources" && find . -type f -printf '%P\0') | list_files "$sources" >"$lists/copy"
  # What property tests note of failed cases stays: the next run tries them again.
  LC_ALL=C comm -13 "$lists/clone" "$lists/copy" | sed 's/^[^ ]*  //' | { grep -v '/proptest-regressions/' || true; } | sort -u >"$lists/outdated"
  LC_ALL=C comm -23 "$lists/clone" "$lists/copy" | sed 's/^[^ ]*  //' | sort -u >"$lists/new"
}
is_up_to_date() { [[ ! -s $lists/outdated && ! -s $lists/new ]]; }
copy_changes() {
  (cd "$sources" && xargs -rd '\n' rm -f && find . -mindepth 1 -type d -empty -delete) <"$lists/outdated"
  (cd "$clone" && xargs -rd '\n' cp --remove-destination --parents --target-directory "$sources") <"$lists/new"
}

mkdir -p "$sources"
lists=$(mktemp -d -t balancefleet-cargo.XXXXXX)
trap 'rm -rf "$lists"' EXIT
# Shared by all who use the copy as it is; who changes it has it alone.
exec 8>>"$CARGO_TARGET_DIR/sources.lock"
flock --shared 8
compare
for _ in {1..5}; do
  ! is_up_to_date || break
  flock --nonblock 8 || { echo "waiting until nobody builds or tests" >&2 && flock 8; }
  compare
  copy_changes
  flock --shared 8 # not in one step: another clone may have been faster
  compare
done
is_up_to_date || fail "$sources does not become a copy of $clone" "rm -rf '$sources'"
rm -rf "$lists"
exec cargo "$1" --manifest-path "$sources/Cargo.toml" "${@:2}"
