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

# runtime_root: prints the folder of the root file system that they are based on.
runtime_root() {
  local binaries=()
  # shellcheck disable=SC2317 # each_image calls it
  collect() { binaries+=("$CARGO_TARGET_DIR/release/$3"); }
  each_image collect
  [[ ${#binaries[@]} -gt 0 ]] || fail "no image is called ${only[*]}" "look at e2e/images/images.sh"
  "$e2e/images/runtime-root.sh" "${binaries[@]}"
}

# write_context BINARY ROOT FOLDER: writes all that an image is built from into FOLDER, which is empty. The binary is
# stripped: a third of the size, and panics still name their place.
write_context() {
  local binary=$1 root=$2 folder=$3
  cp -a "$root" "$folder/root"
  strip --strip-all -o "$folder/$binary" "$CARGO_TARGET_DIR/release/$binary"
  sed -e '/^ARG binary$/d' -e "s/\${binary}/$binary/" "$e2e/images/Dockerfile" >"$folder/Dockerfile"
  echo "ENTRYPOINT [\"/usr/local/bin/$binary\"]" >>"$folder/Dockerfile"
}
