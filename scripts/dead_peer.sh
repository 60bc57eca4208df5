#!/usr/bin/env bash
# Tests dead peers: clients whose machine disappears without FIN or RST and acknowledges nothing more. The server must close
# such a connection and release its permit after the write timeout, even when it has nothing to send.
#
# The test puts the clients into a network namespace and takes the link down while an event stream and a WebSocket are open.
# It needs root and `ip` (iproute2); without them it prints a message and exits with status 0.
#
# PIPEWATCH_BIN: path of the program, default target/debug/pipewatch.
set -euo pipefail

WRITE_TIMEOUT=2
# The first keep-alive probe follows after one write timeout, the second after two; the rest is slack for a busy machine.
WITHIN=$((3 * WRITE_TIMEOUT + 4))
TIMEOUT=20

say() { printf 'dead_peer.sh: %s\n' "$*" >&2; }
skip() {
    say "SKIPPED, dead peers are not tested: $*"
    exit 0
}
fail() {
    say "FAILED: $*"
    [[ ! -s $folder/log ]] || cat "$folder/log" >&2
    exit 1
}

binary=$(realpath "${PIPEWATCH_BIN:-"$(dirname "$0")/../target/debug/pipewatch"}")
((EUID == 0)) || skip "root is required"
type -P ip >/dev/null || skip "ip is missing (Debian, Ubuntu: apt-get install iproute2)"

namespace=pipewatch-$$
here=pwh$$ there=pwt$$
# From the benchmarking range (RFC 2544), which is not routed.
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

ip netns add "$namespace" 2>"$folder/why" || skip "$(<"$folder/why")"
ip link add "$here" type veth peer name "$there" netns "$namespace" 2>"$folder/why" || skip "$(<"$folder/why")"
ip addr add "$network.1/30" dev "$here"
ip -n "$namespace" addr add "$network.2/30" dev "$there"
ip link set "$here" up
ip -n "$namespace" link set "$there" up

# The caller's settings must not reach the server.
while IFS='=' read -r name _; do
    case $name in PIPEWATCH_* | DATABASE_URL | PORT) unset "$name" ;; esac
done < <(env)

# within WHAT SECONDS COMMAND: waits until the command succeeds; fails after the given number of seconds.
within() {
    local what=$1 deadline=$((SECONDS + $2))
    shift 2
    until "$@"; do
        ((SECONDS < deadline)) || fail "$what: timed out"
        sleep 0.05
    done
}

# Prints the body of a response.
get() {
    local reply
    exec 9<>"/dev/tcp/$host/$port"
    printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" "$host" >&9
    reply=$(cat <&9)
    exec 9>&-
    printf '%s' "${reply#*$'\r\n\r\n'}"
}

# A client in the namespace: sends a request head, then only reads.
connect() {
    local name=$1 head=$2
    # The output of the previous client must not count for this one.
    rm -f "$folder/$name"
    # shellcheck disable=SC2016 # the inner shell expands the variables
    ip netns exec "$namespace" bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "%b" "$2" >&3 && exec cat <&3 >"$3"' \
        "$host" "$port" "$head" "$folder/$name" &
    clients+=($!)
    within "$name receives a status" "$TIMEOUT" grep -asq '"revision"' "$folder/$name"
}

# has_connections TOTAL EACH: compares the number of connections, and the permits in use per transport.
has_connections() {
    local metrics
    [[ $(get /api/health) == *"\"connections\":$1,"* ]] || return 1
    metrics=$(get /metrics)$'\n'
    [[ $metrics == *"pipewatch_connections{transport=\"sse\"} $2"$'\n'* ]] || return 1
    [[ $metrics == *"pipewatch_connections{transport=\"websocket\"} $2"$'\n'* ]]
}

is_listening() { grep -q 'listening on ' "$folder/out"; }

test_dead_peer() {
    local interval=$1 status=/api/v1/monitoring/pipeline-status
    : >"$folder/out"
    "$binary" serve --config /dev/null --database-url "sqlite://$folder/$interval.db" --listen "$network.1:0" \
        --write-timeout "${WRITE_TIMEOUT}s" --interval "$interval" >"$folder/out" 2>"$folder/log" &
    server=$!
    within "the server starts" "$TIMEOUT" is_listening
    host=$network.1 port=$(grep -o '[0-9]*$' "$folder/out")

    connect sse "GET $status/stream HTTP/1.1\r\nHost: $host\r\n\r\n"
    connect websocket "GET /api/v1/ws/monitoring/pipeline-status HTTP/1.1\r\nHost: $host\r\nConnection: Upgrade\r\n\
Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cGlwZXdhdGNoLXJlYWRtZQ==\r\n\r\n"
    has_connections 2 1 || fail "expected two connections: $(get /api/health)"

    ip -n "$namespace" link set "$there" down
    local started=$SECONDS
    within "interval $interval: both connections are closed and their permits released" "$WITHIN" has_connections 0 0
    say "interval $interval: closed after $((SECONDS - started)) s"

    kill "${clients[@]}" "$server"
    wait "$server" || fail "the server exited with status $?"
    wait "${clients[@]}" 2>/dev/null || true
    clients=() server=
    ip -n "$namespace" link set "$there" up
}

# With data in flight when the link goes down, and without.
test_dead_peer 100ms
test_dead_peer 1h
