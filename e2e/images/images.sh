# shellcheck shell=bash
# The images built from this workspace's binaries; to be sourced after scripts/lib.sh. To add an image, add a line.
# shellcheck disable=SC2034,SC2154 # e2e is lib.sh's, some are read by those who source this
only=() # names of images, if only some are wanted
# image                     crate                    binary
IMAGES='
balancefleet/operator       balancefleet-operator    balancefleet-operator
balancefleet/worker         balance-worker           balance-worker
balancefleet/traffic        balancefleet-e2e         traffic
'

# each_image FUNCTION ARGUMENT…: calls FUNCTION IMAGE CRATE BINARY ARGUMENT… for each line, or those of $only.
each_image() {
  local function=$1 image crate binary
  shift
  while read -r image crate binary <&4; do
    [[ -n $image ]] || continue
    [[ ${#only[@]} -gt 0 && " ${only[*]} " != *" $image "* ]] || "$function" "$image" "$crate" "$binary" "$@"
  done 4<<<"$IMAGES"
}

released= # the folder of release.sh, if the worker is to be the one that is there

# binaries_of BINARY: prints the paths of the files that the image of that binary holds. The first one is its entry.
binaries_of() {
  if [[ $1 == balance-worker && -n $released ]]; then
    find "$released" -name "$1" | sort
  else
    echo "$CARGO_TARGET_DIR/release/$1"
  fi
}

# runtime_root: prints the folder of the root file system that they are based on.
runtime_root() {
  local binaries=()
  # shellcheck disable=SC2317 # each_image calls it
  collect() { binaries+=("$CARGO_TARGET_DIR/release/$3"); }
  each_image collect
  [[ ${#binaries[@]} -gt 0 ]] || fail "no image is called ${only[*]}" "look at e2e/images/images.sh"
  "$e2e/images/runtime-root.sh" "${binaries[@]}"
}

# write_context BINARY ROOT FOLDER: writes all that an image is built from into FOLDER, which is empty. Binaries are
# stripped: a third of the size, and panics still name their place.
write_context() {
  local binary=$1 root=$2 folder=$3 files file to
  cp -a "$root" "$folder/root"
  mapfile -t files < <(binaries_of "$binary")
  mkdir "$folder/bin"
  for file in "${files[@]}"; do
    to=$folder/bin/${file#"$(dirname "${files[0]}")/"}
    mkdir -p "$(dirname "$to")"
    strip --strip-all -o "$to" "$file"
  done
  cp "$e2e/images/Dockerfile" "$folder/"
  echo "ENTRYPOINT [\"/usr/local/bin/$binary\"]" >>"$folder/Dockerfile"
}
