#!/bin/sh
# The router beside a plain HAProxy and the bare upstream, in one run: `NAME PID-TICKS REQUESTS P50 P99` a line, two rounds.
# Usage: bench/router.sh TIDEGATE SECONDS
set -eu
cd "$(dirname "$0")/.."
tidegate=$1
seconds=$2
upstream=9401 haproxy=9402 router=9403 api=9404
work=$(mktemp -d)
pids=''
stop() { for pid in $pids; do kill "$pid" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$work"; }
trap stop EXIT INT TERM

sed "s/UPSTREAM_PORT/$upstream/" bench/nginx.conf >"$work/nginx.conf"
nginx -p "$work" -c nginx.conf 2>/dev/null & pids="$pids $!"
BENCH_HAPROXY_PORT=$haproxy BENCH_UPSTREAM_PORT=$upstream haproxy -f bench/haproxy.cfg & theirs=$!
TIDEGATE_LOG=error "$tidegate" up --data "$work/data" --listen 127.0.0.1:$api --router 127.0.0.1:$router >/dev/null & ours=$!
pids="$pids $theirs $ours"
export TIDEGATE_URL=http://127.0.0.1:$api

answers() { # URL: waits until it does
    for _ in $(seq 100); do
        curl -fsS -o /dev/null "$1" 2>/dev/null && return 0
        sleep 0.1
    done
    echo "$1 does not answer" >&2
    exit 1
}
answers http://127.0.0.1:$api/readyz
"$tidegate" models add model --type BENCH >/dev/null
"$tidegate" versions add model 1 --upstream http://127.0.0.1:$upstream >/dev/null
answers http://127.0.0.1:$haproxy/
answers http://127.0.0.1:$router/model/

ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
measure() { # NAME URL PID
    before=$(ticks "$3")
    wrk -t1 -c64 -d"${seconds}s" -H 'x-session-id: bench' "$2" >"$work/many"
    after=$(ticks "$3")
    wrk -t1 -c1 -d"${seconds}s" --latency -H 'x-session-id: bench' "$2" >"$work/one"
    echo "$1 $((after - before)) $(awk '/requests in/ { print $1 }' "$work/many")" \
        "$(awk '$1 == "50%" { print $2 }' "$work/one") $(awk '$1 == "99%" { print $2 }' "$work/one")"
}
for _ in 1 2 3; do
    measure direct "http://127.0.0.1:$upstream/" $$
    measure haproxy "http://127.0.0.1:$haproxy/" "$theirs"
    measure tidegate "http://127.0.0.1:$router/model/" "$ours"
done
