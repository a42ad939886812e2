#!/usr/bin/env bash
# Samples a group's lag and members once a second, as Kafka itself knows them, and then plots both on one time axis.
#
#   e2e/labs/lag.sh [--for TIME] [--group G] [--svg FILE] [--save FILE | --from FILE] [--table]
#   make lag FOR=60s SVG=lag.svg
#
#   --for TIME             how long, such as 60s or 2m (default 60s); Ctrl-C ends it earlier
#   --group G              the consumer group (default balance-service)
#   --svg FILE             draw the plot into this file as well
#   --save FILE            keep the samples in this file
#   --from FILE            plot what was saved, without any fleet
#   --table                print the samples only, no plot: needs no gnuplot
#   --on cluster|compose   where (default $ON, else the one that runs; the cluster if both do)
#
# The lag is that of `make groups`: the ends of the logs less the committed offsets. A partition without a committed offset
# counts from its first record. Times are UTC. The plot is drawn by gnuplot (e2e/scripts/prerequisites.sh plot).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
usage_when_asked "$@"
option[for]=60s
read_options "for group svg save from" "table" "$@"
[[ -n ${option[table]:-} ]] || has gnuplot ||
  fail "gnuplot is missing, which draws the plot" "e2e/scripts/prerequisites.sh plot, or make lag TABLE=yes for the samples alone"
[[ -z ${option[table]:-} || -z ${option[svg]:-} ]] || fail "a table or a drawing, not both" "e2e/labs/lag.sh --help"
for file in "${option[svg]:-}" "${option[save]:-}"; do
  [[ -z $file || -d $(dirname "$file") ]] || fail "there is no folder for $file" "mkdir -p '$(dirname "$file")'"
done

work=$(mktemp -d -t balancefleet-lag.XXXXXX)
trap 'rm -rf "$work"' EXIT
samples=$work/samples

if [[ -n ${option[from]:-} ]]; then
  cp -- "${option[from]}" "$samples"
else
  find_fleet
  kafka=$(kafka_outside)
  # Ctrl-C ends the sampling alone: the plot of what there is comes all the same.
  trap : INT
  labs lag --bootstrap-servers "$kafka" --group "${option[group]}" --for "${option[for]}" | tee --ignore-interrupts "$samples"
  trap - INT
  [[ -z ${option[save]:-} ]] || cp -- "$samples" "${option[save]}"
fi
[[ -z ${option[table]:-} ]] || exit 0

# plot TERMINAL OUTPUT: members are steps with an axis of their own, and times of a rebalance are marked at the bottom.
plot() {
  local most tics seconds top='*'
  most=$(awk '$3 + 0 > most { most = $3 } END { print most + 1 }' "$samples")
  # An axis of nothing is none.
  awk '$2 + 0 > 0 { found = 1 } END { exit !found }' "$samples" || top=10
  seconds=$(grep -cE '^[0-9]' "$samples")
  for tics in 5 10 15 30 60 120 300 600 1800 3600; do ((tics * 7 < seconds)) || break; done
  gnuplot <<END
set terminal $1
$2
set datafile missing '-'
set xdata time
set timefmt '%Y-%m-%dT%H:%M:%SZ'
set format x '%H:%M:%S'
set xtics $tics
set key outside top center horizontal
set ylabel 'lag'
set yrange [0:$top]
set y2label 'members'
set y2range [0:$most]
set y2tics 1
set ytics nomirror
plot '$samples' using 1:2 with lines linewidth 2 title 'lag (records)', \
  '' using 1:3 axes x1y2 with steps linewidth 2 title 'members of ${option[group]}', \
  '' using 1:(strstrt(strcol(4), 'Rebalance') ? $most * 0.05 : NaN) axes x1y2 with points pointtype 7 title 'rebalancing'
END
}
grep -qE '^[0-9]' "$samples" || fail "there is no sample to plot" "make lag FOR=60s"
plot "dumb size ${COLUMNS:-100},26" ''
if [[ -n ${option[svg]:-} ]]; then
  plot "svg size 960,480 dynamic background 'white' font 'sans-serif,13'" "set output '$work/plot.svg'"
  cp -- "$work/plot.svg" "${option[svg]}"
  progress "drew ${option[svg]}"
fi
