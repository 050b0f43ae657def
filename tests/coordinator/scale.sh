#!/usr/bin/env bash
# scale.sh SOURCE BIN: the benchmarks of bench/scale run, in small, and nothing is refused, fails or is lost in them.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
MILLRACE_BIN=$2 SCALE_REPLICAS="1 5" SCALE_WAITING="3 20" SCALE_SECONDS=1 SCALE_WARM_UP=0.5 SCALE_FRAMES=400 \
  "$1/bench/scale.sh" > table
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
         { bad = $column["requests_per_s"] <= 0 || $column["frames_per_s"] <= 0 || $column["cpu_us_per_request"] <= 0 ||
                 $column["refused"] + $column["failed"] + $column["lost"] > 0
           if (bad) { print "a row that cannot be: " $0; failed = 1 } }
         END { if (NR != 5) { print "rows: " NR - 1 ", 4 are wanted"; failed = 1 }; exit failed }' scale.csv
grep -q 'the CPU of a request grows as replicas^' table
"$2/bench_scheduler" --header --replicas 3 --sequences 8 --waiting 20 --calls 2000 > row
awk -F, 'NR == 2 { for (i = 1; i <= NF; i++) if (!($i > 0)) { print "no figure: " $0; exit 1 } } END { if (NR != 2) exit 1 }' row
