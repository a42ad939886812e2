#!/usr/bin/env bash
# Prints the path of a tar with a root file system made of Debian 12 packages (and what they depend on).
#
#   e2e/scripts/debian-root.sh VARIANT PACKAGE…
#
#   VARIANT    minbase: installed, with apt's essential packages; extract: files only, no maintainer script runs
#
# Cached by the arguments. The packages come through the machine's own apt settings where it is a Debian 12.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
usage_when_asked "$@"
[[ $# -ge 2 ]] || fail "which packages?" "e2e/scripts/debian-root.sh --help"
has mmdebstrap || fail "mmdebstrap is missing" "e2e/scripts/prerequisites.sh cluster"

SUITE=bookworm
variant=$1
shift
packages=$(IFS=, && echo "$*")

# The machine's own mirror and its settings for downloads, which the root must not keep.
sources=() options=()
for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
  if grep -qs "$SUITE" "$file"; then sources=("$file") && break; fi
done
if [[ ${#sources[@]} -gt 0 ]]; then
  mapfile -t options < <(grep -ls Acquire /etc/apt/apt.conf.d/* | sed 's/^/--aptopt=/')
fi

# mmdebstrap's own shell expands $1, the root. Documentation goes as soon as it is unpacked, at the latest in the end.
# shellcheck disable=SC2016
TRIM='rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/* "$1"/usr/lib/*/gconv'
# shellcheck disable=SC2016
FORGET='rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/apt/sources.list.d/*'

fill() {
  quietly "making a Debian root with ${packages%%,*}" mmdebstrap --quiet --format=tar "--variant=$variant" \
    "--include=$packages" "${options[@]}" --extract-hook="$TRIM" --customize-hook="$TRIM; $FORGET" \
    "$SUITE" "$1/root.tar" "${sources[@]}"
}
root=$(cached debian-root "$(sha256sum <<<"$SUITE $variant $packages $TRIM" | cut -c1-16)" fill)
echo "$root/root.tar"
