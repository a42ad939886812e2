#!/usr/bin/env bash
# Sends e-banking transactions of 1,000 customers at a steady rate, and says how many were acknowledged.
#
#   e2e/labs/traffic.sh [--rate N] [--for TIME] [--topic T]
#   make traffic RATE=300 FOR=30s
#
#   --rate N               transactions per second (default 100)
#   --for TIME             how long, such as 30s or 2m (default 1m); Ctrl-C ends it earlier
#   --topic T              a topic (default banking.transactions); created with 6 partitions if it does not exist
#   --on cluster|compose   where (default $ON, else the one that runs; the cluster if both do)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
usage_when_asked "$@"
option[topic]=banking.transactions option[rate]=100 option[for]=1m
read_options "topic rate for" "" "$@"
[[ ${option[rate]} =~ ^[1-9][0-9]{0,5}$ ]] || fail "--rate ${option[rate]}: expected transactions per second, 1 to 999999" "make traffic RATE=300"
[[ ${option[for]} =~ ^([1-9][0-9]{0,4})(s|m)$ ]] || fail "--for ${option[for]}: expected a time such as 30s or 2m" "make traffic FOR=30s"
seconds=${BASH_REMATCH[1]}
[[ ${BASH_REMATCH[2]} == s ]] || seconds=$((seconds * 60))
find_fleet
kafka=$(kafka_outside)
# Another run sends other transactions: ids and times are its own.
now=$EPOCHSECONDS
program=$(program traffic)
exec "$program" produce --bootstrap-servers "$kafka" --topic "${option[topic]}" --rate "${option[rate]}" \
  --count $((option[rate] * seconds)) --run-id "$now" --seed "$now" --first-timestamp "$(date -u -d "@$now" +%Y-%m-%dT%H:%M:%SZ)" --progress 10s
