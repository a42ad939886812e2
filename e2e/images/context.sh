#!/usr/bin/env bash
# Writes all that an image is built from into a folder, for a builder that is elsewhere, as OpenShift's is. Compiles the
# binary first.
#
#   e2e/images/context.sh IMAGE FOLDER      IMAGE: operator, worker or traffic
#
# The same as `docker build FOLDER` then builds elsewhere. FOLDER must not exist yet. With RELEASE=1, the worker is the
# one of release.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
. "$here/images.sh"
usage_when_asked "$@"
[[ $# -eq 2 ]] || fail "expected an image and a folder" "e2e/images/context.sh --help"
folder=$2
[[ ! -e $folder ]] || fail "$folder exists" "name a new folder"

program=
find_program() { [[ $1 != "balancefleet/$4" ]] || program=$3; }
each_image find_program "$1"
[[ -n $program ]] || fail "there is no image $1" "e2e/images/context.sh --help"

"$here/binaries.sh"
released=${RELEASE:+$("$here/release.sh")}
root=$(runtime_root)
mkdir -p "$folder"
write_context "$program" "$root" "$folder"
progress "$folder is what balancefleet/$1 is built from"
