#!/usr/bin/env bash
# A client whose machine vanishes says no goodbye: no FIN, no RST, and nothing is acknowledged any more. Its connection and
# its place among the permitted ones must be gone after the write timeout all the same, even when nothing is sent to it.
#
# A network namespace stands for that machine; its link is cut while an event stream and a WebSocket are open. This needs root
# and `ip` of iproute2: where either is missing the script says so, and leaves the test out (status 0).
#
# PIPEWATCH_BIN names the program, otherwise it is target/debug/pipewatch.
set -euo pipefail

WRITE_TIMEOUT=2
# The first keep-alive probe goes out after the write timeout, a second one as much later; a busy machine takes its time, too.
WITHIN=$((3 * WRITE_TIMEOUT + 4))
PATIENCE=20

say() { printf 'vanish.sh: %s\n' "$*" >&2; }
leave_out() {
    say "LEFT OUT, a peer that vanishes is not tested here: $*"
    exit 0
}
fail() {
    say "FAILED: $*"
    [[ ! -s $folder/log ]] || cat "$folder/log" >&2
    exit 1
}

binary=$(realpath "${PIPEWATCH_BIN:-"$(dirname "$0")/../target/debug/pipewatch"}")
((EUID == 0)) || leave_out "it needs root"
type -P ip >/dev/null || leave_out "it needs ip (Debian, Ubuntu: apt-get install iproute2)"

namespace=pipewatch-$$
here=pwh$$ there=pwt$$
# Of the range for benchmarks (RFC 2544), which nobody routes.
network=198.18.$((RANDOM % 256))
folder=$(mktemp -d)
clients=() server=

clean_up() {
    kill "${clients[@]}" ${server:+"$server"} 2>/dev/null || true
    wait 2>/dev/null || true
    ip link del "$here" 2>/dev/null || true
    ip netns del "$namespace" 2>/dev/null || true
    rm -rf "$folder"
}
trap clean_up EXIT

ip netns add "$namespace" 2>"$folder/why" || leave_out "$(<"$folder/why")"
ip link add "$here" type veth peer name "$there" netns "$namespace" 2>"$folder/why" || leave_out "$(<"$folder/why")"
ip addr add "$network.1/30" dev "$here"
ip -n "$namespace" addr add "$network.2/30" dev "$there"
ip link set "$here" up
ip -n "$namespace" link set "$there" up

# The settings of whoever runs this must not reach the server.
while IFS='=' read -r name _; do
    case $name in PIPEWATCH_* | DATABASE_URL | PORT) unset "$name" ;; esac
done < <(env)

# Until the condition holds; fails after so many seconds.
within() {
    local what=$1 deadline=$((SECONDS + $2))
    shift 2
    until "$@"; do
        ((SECONDS < deadline)) || fail "$what: not within the time"
        sleep 0.05
    done
}

# The body of an answer of the server.
get() {
    local reply
    exec 9<>"/dev/tcp/$host/$port"
    printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" "$host" >&9
    reply=$(cat <&9)
    exec 9>&-
    printf '%s' "${reply#*$'\r\n\r\n'}"
}

# A client on the other machine: sends the head of a request, and then only listens.
connect() {
    local name=$1 head=$2
    # What the one before heard is no sign of this one.
    rm -f "$folder/$name"
    # shellcheck disable=SC2016 # the variables are the inner shell's
    ip netns exec "$namespace" bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "%b" "$2" >&3 && exec cat <&3 >"$3"' \
        "$host" "$port" "$head" "$folder/$name" &
    clients+=($!)
    within "$name begins" "$PATIENCE" grep -asq '"revision"' "$folder/$name"
}

# How many connections there are, and how many permits are out for each transport.
has_connections() {
    local metrics
    [[ $(get /api/health) == *"\"connections\":$1,"* ]] || return 1
    metrics=$(get /metrics)$'\n'
    [[ $metrics == *"pipewatch_connections{transport=\"sse\"} $2"$'\n'* ]] || return 1
    [[ $metrics == *"pipewatch_connections{transport=\"websocket\"} $2"$'\n'* ]]
}

serves() { [[ $(<"$folder/out") == *"serves at"* ]]; }

vanish() {
    local interval=$1 status=/api/v1/monitoring/pipeline-status
    : >"$folder/out"
    "$binary" serve --config /dev/null --database-url "sqlite://$folder/$interval.db" --listen "$network.1:0" \
        --write-timeout "${WRITE_TIMEOUT}s" --interval "$interval" >"$folder/out" 2>"$folder/log" &
    server=$!
    within "the server serves" "$PATIENCE" serves
    host=$network.1 port=$(grep -o '[0-9]*$' "$folder/out")

    connect sse "GET $status/stream HTTP/1.1\r\nHost: $host\r\n\r\n"
    connect websocket "GET /api/v1/ws/monitoring/pipeline-status HTTP/1.1\r\nHost: $host\r\nConnection: Upgrade\r\n\
Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cGlwZXdhdGNoLXJlYWRtZQ==\r\n\r\n"
    has_connections 2 1 || fail "two connections: $(get /api/health)"

    ip -n "$namespace" link set "$there" down
    local begun=$SECONDS
    within "with an interval of $interval, both connections and their permits are gone" "$WITHIN" has_connections 0 0
    say "with an interval of $interval, gone after $((SECONDS - begun)) s"

    kill "${clients[@]}" "$server"
    wait "$server" || fail "the server ended with $?"
    wait "${clients[@]}" 2>/dev/null || true
    clients=() server=
    ip -n "$namespace" link set "$there" up
}

# Something is on its way to them when they vanish, or nothing is.
vanish 100ms
vanish 1h
