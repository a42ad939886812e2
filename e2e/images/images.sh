# shellcheck shell=bash
# The images built from this workspace's binaries; to be sourced. To add an image, add a line.
# shellcheck disable=SC2034 # read by those who source this
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
