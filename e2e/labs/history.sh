#!/usr/bin/env bash
# Puts the rebalancing histories of all workers of a group on one time line, and prints one row per rebalance: when it
# began, how long it took, which partitions moved, came back or never stopped, and how long they stood still.
#
#   e2e/labs/history.sh [--group G] [--since TIME] [--json | --save FILE]
#   e2e/labs/history.sh --from FILE [--from FILE…]
#   make history SINCE='2 minutes ago'
#   make history SAVE=range.json
#   make history FROM='cooperative-sticky.json range.json roundrobin.json'
#
#   --group G              the consumer group (default balance-service)
#   --since TIME           leave out what was over before: 13:05, "2 minutes ago", or what else `date --utc` understands
#   --json                 print JSON: the histories, and what was worked out from them
#   --save FILE            write that to a file as well
#   --from FILE            show what was saved, without any worker; of several files, all rebalances in one table
#   --on cluster|compose   where (default $ON, else the one that runs; the cluster if both do)
#   --namespace N          on the cluster, the namespace of the BalanceConsumerGroup (default demo)
#
# A partition stands still from the moment its owner stops processing it until a worker processes it again. Times are UTC.
# A worker keeps its history in memory: it is lost with its process, so save what you want to compare before you stop
# workers or change their assignor.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
usage_when_asked "$@"
files=()
arguments=()
while [[ $# -gt 0 ]]; do
  if [[ $1 == --from ]]; then
    # Several in one word, for make; a name with a space is taken as it is.
    if [[ -e ${2:-} ]]; then files+=("$2"); else read -ra more <<<"${2:-}" && files+=("${more[@]}"); fi
    shift $(($# < 2 ? 1 : 2))
    [[ ${#files[@]} -gt 0 ]] || fail "--from needs a file" "e2e/labs/history.sh --help"
  else
    arguments+=("$1")
    shift
  fi
done
read_options "group since save" "json" "${arguments[@]}"
since=()
if [[ -n ${option[since]:-} ]]; then
  moment=$(date --utc --date "${option[since]}" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null) ||
    fail "no time: ${option[since]}" "write 13:05:00 or '2 minutes ago'"
  since=(--since "$moment")
fi
if [[ ${#files[@]} -gt 0 ]]; then
  labs history "${since[@]}" ${option[json]:+--json} "${files[@]}"
  exit
fi
find_fleet

# record: the histories of all workers as one JSON object.
record() {
  local name address metrics history answers=() unanswered=()
  while read -r name address <&3; do
    if history=$(ask "$address" /api/Balance/rebalancing-history) && metrics=$(ask "$address" /api/Balance/metrics); then
      answers+=("$(jq --arg name "$name" --argjson metrics "$metrics" '. + {name: $name, startedAt: $metrics.startedAt}' <<<"$history")")
    else
      unanswered+=("$name")
    fi
  done 3< <(jq -r '"\(.name) \(.address)"' <<<"$workers")
  [[ ${#answers[@]} -gt 0 ]] || fail "no worker of the group ${option[group]} answers" "make groups, which shows its members"
  printf '%s\n' "${answers[@]}" | jq --slurp --arg on "$on" --arg group "${option[group]}" --arg assignor "$assignor" \
    --argjson ended "$ended" --arg taken "$(date --utc +%Y-%m-%dT%H:%M:%S.%3NZ)" '{on: $on, group: $group,
      assignor: (if $assignor == "" then null else $assignor end), taken: $taken, workers: ., unanswered: $ARGS.positional,
      ended: $ended}' --args "${unanswered[@]}"
}
find_group
recording=$(record)
if [[ -n ${option[save]:-} ]]; then
  labs history "${since[@]}" --json <<<"$recording" >"${option[save]}"
  progress "saved in ${option[save]}"
fi
labs history "${since[@]}" ${option[json]:+--json} <<<"$recording"
