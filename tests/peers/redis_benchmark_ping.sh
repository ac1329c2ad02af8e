#!/bin/sh
# PING beside Debian's redis-server, in the same run: prints commands a second and the
# servers' CPU seconds per million, and the ratio of the two. Prints, does not judge.
#
#     redis_benchmark_ping.sh [COMMANDS]     of each pipelined run (1000000)
#
# Exit 0, or 77 when a program is missing. TSINK_BUILD is the build folder, SERVER a program.
commands=${1:-1000000}
build=${TSINK_BUILD:-$(pwd)}
server=${SERVER:-$build/src/tsink-server}

for need in redis-server:redis-server redis-benchmark:redis-tools redis-cli:redis-tools; do
    if ! command -v "${need%%:*}" >/dev/null; then
        echo "SKIP: apt-get install ${need##*:}"
        exit 77
    fi
done
if ! [ -x "$server" ]; then
    echo "SKIP: no server at $server"
    exit 77
fi

scratch=$(mktemp -d "${TMPDIR:-/tmp}/tsink-ping.XXXXXX") || exit 1
redis_pid=
tsink_pid=
stop() {
    for pid in $redis_pid $tsink_pid; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
    rm -rf "$scratch"
}
trap stop EXIT
trap 'exit 1' INT TERM

# Three ports that nobody has just now.
ports=$(python3 -c '
import socket
held = [socket.socket() for _ in range(3)]
for s in held: s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in held])') || exit 1
set -- $ports
redis_port=$1 tsink_port=$2 http_port=$3

redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --dir "$scratch" \
    >"$scratch/redis.log" 2>&1 &
redis_pid=$!
"$server" --data-path "$scratch/data" --port "$tsink_port" --http-port "$http_port" \
    >"$scratch/tsink.log" 2>&1 &
tsink_pid=$!
for port in "$redis_port" "$tsink_port"; do
    tries=0
    until redis-cli -p "$port" PING 2>/dev/null | grep -q PONG; do
        tries=$((tries + 1))
        [ $tries -gt 300 ] && echo "port $port does not answer" && cat "$scratch"/*.log && exit 1
        sleep 0.1
    done
done

# CPU ticks that a process has used: fields 14 and 15 of its stat, after the name.
ticks() {
    sed 's/^.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}

# run NAME PID PORT PIPELINE N: one line of figures; leaves CPU per million in $cpu.
run() {
    before=$(ticks "$2")
    rate=$(redis-benchmark -p "$3" -t ping_mbulk -P "$4" -n "$5" -c 50 --csv 2>/dev/null |
        awk -F'"' '/PING/ { rate = $4 } END { print rate }')
    after=$(ticks "$2")
    cpu=$(echo "$before $after $5 $(getconf CLK_TCK)" | awk '{ print ($2 - $1) / $4 * 1e6 / $3 }')
    printf '%-13s -P %-3s %12s/s %8.3f CPU s per million\n' "$1" "$4" "$rate" "$cpu"
}

for pipeline in 1 16 64; do
    n=$commands
    [ $pipeline -eq 1 ] && n=$((commands / 5))
    run redis-server "$redis_pid" "$redis_port" $pipeline "$n"
    redis_cpu=$cpu
    run tsink-server "$tsink_pid" "$tsink_port" $pipeline "$n"
    echo "$redis_cpu $cpu $pipeline" |
        awk '{ printf "REL ping_cpu_ratio_p%d=%.2f goal=1.2\n", $3, ($1 > 0 ? $2 / $1 : 0) }'
done
