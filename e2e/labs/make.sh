#!/usr/bin/env bash
# Runs a script of this folder with the variables of make as its options: TOPIC=orders becomes --topic orders.
#
#   e2e/labs/make.sh SCRIPT VARIABLE…
#
# The Makefile passes what was given on make's command line as LABS_TOPIC and so on, in the environment: a value with
# spaces, quotes or $ arrives as it was typed. A flag is set by any value but an empty one or "no".
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"
FLAGS=' ANY JSON LIST MEMBERS STATE STOP TABLE '

script=$1
shift
arguments=()
for variable; do
  given=LABS_$variable
  [[ -n ${!given+given} ]] || continue
  name=${variable,,}
  if [[ $FLAGS != *" $variable "* ]]; then
    arguments+=("--$name" "${!given}")
  elif [[ -n ${!given} && ${!given} != no ]]; then
    arguments+=("--$name")
  fi
done
exec "$here/$script" "${arguments[@]}"
