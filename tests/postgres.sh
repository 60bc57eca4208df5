#!/usr/bin/env bash
# A throw-away PostgreSQL for the tests.
#
#   tests/postgres.sh           start a server, print its URL as the one line of stdout,
#                               serve until stdin ends, leave nothing behind
#   tests/postgres.sh --check   only make sure that a server is installed
#
# FSYNC=on keeps the server durable, for crash tests and benchmarks.
# TCP_PORT=n listens on 127.0.0.1 as well, and prints the URL of that address.
# Exit status: 69 if there is no PostgreSQL to be had, 64 for a wrong argument.
#
# The end of stdin is the signal to stop because it comes however the caller ends, kill -9
# included. Close the pipe and wait for this script, rather than killing it.
set -euo pipefail

say() { printf 'postgres.sh: %s\n' "$*" >&2; }

find_binaries() {
    local candidate
    while IFS= read -r candidate; do
        if [[ -x $candidate/initdb && -x $candidate/postgres ]]; then
            printf '%s\n' "$candidate"
            return
        fi
    done < <(
        on_path=$(type -P postgres) && dirname "$on_path"
        pg_config --bindir 2>/dev/null || true
        # Debian keeps the server off PATH.
        printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV
    )
    return 1
}

install_by_apt() {
    ((EUID == 0)) && type -P apt-get >/dev/null || return 1
    say "no PostgreSQL server found, installing Debian's"
    # The cluster that Debian creates along with it is never used, nor in the way: ours
    # listens on no port, only on a socket in a folder of its own.
    export DEBIAN_FRONTEND=noninteractive
    apt-get update </dev/null >&2 && apt-get install -y postgresql </dev/null >&2
}

mode=${1-serve}
case $mode in
    serve | --check) ;;
    *)
        say "usage: postgres.sh [--check]"
        exit 64
        ;;
esac

if ! bin=$(find_binaries) && ! { install_by_apt && bin=$(find_binaries); }; then
    say "the tests need the PostgreSQL server programs initdb and postgres;"
    say "install them (Debian, Ubuntu: apt-get install postgresql) or put them on PATH"
    exit 69
fi
if [[ $mode == --check ]]; then
    "$bin/postgres" --version
    exit
fi

# Not TMPDIR: a socket's path may have about 107 bytes only, and another user may have to
# reach it. /tmp may be memory, where durability would mean nothing.
durable=off
parent=/tmp
if [[ ${FSYNC-} == on ]]; then
    durable=on
    parent=/var/tmp
fi

folder=
server=
clean_up() {
    # A second Ctrl-C must not cut this short.
    trap '' INT TERM HUP PIPE
    if [[ -n $server ]]; then
        # QUIT stops it at once, clients or not, but is ignored until the server has set up its
        # handlers, as bash starts background commands so; until then TERM ends it.
        kill -TERM "$server" 2>/dev/null || true
        kill -QUIT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    if [[ -n $folder ]]; then
        cd /
        # Children of a server that was killed may write for a moment yet.
        rm -rf -- "$folder" 2>/dev/null || { sleep 1 && rm -rf -- "$folder"; }
    fi
}
trap clean_up EXIT
# Bash can lose or hang on an INT that comes between two short commands, so it waits until the
# server is up. Ctrl-C ends the caller as well, and with it stdin.
trap '' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
# The caller may be gone before it has read the URL.
trap 'exit 141' PIPE

# mktemp must live to tell the name, even if the signal is sent to the whole group.
folder=$(trap '' TERM HUP; mktemp -d "$parent/pipewatch.XXXXXX")
log=$folder/log

as_server=(env)
if setsid setpriv --pdeathsig QUIT true 2>/dev/null; then
    # A signal to the caller's group must reach this script only, which then stops the server in
    # good order; should the script be killed outright, the kernel stops it.
    as_server=(setsid setpriv --pdeathsig QUIT)
fi
if ((EUID == 0)); then
    # PostgreSQL refuses to run as root.
    user=postgres
    id "$user" >/dev/null 2>&1 || user=nobody
    chown "$user" "$folder"
    as_server+=(--reuid="$user" --regid="$(id -g "$user")" --clear-groups)
fi
# The server's user may not be able to enter the caller's folder.
cd "$folder"

fail() {
    say "$1"
    cat "$log" >&2
    exit 1
}

"${as_server[@]}" "$bin/initdb" -D "$folder/data" -U pipewatch \
    --auth=trust --encoding=UTF8 --locale=C --no-sync \
    </dev/null >"$log" 2>&1 || fail "initdb failed"

# Neither stdin nor stdout is handed on: the caller's pipes must end with this script.
"${as_server[@]}" "$bin/postgres" -D "$folder/data" \
    -c listen_addresses="${TCP_PORT:+127.0.0.1}" \
    -c port="${TCP_PORT:-5432}" \
    -c unix_socket_directories="$folder" \
    -c max_connections=300 \
    -c shared_buffers=64MB \
    -c fsync="$durable" \
    -c synchronous_commit="$durable" \
    -c full_page_writes="$durable" \
    </dev/null >>"$log" 2>&1 &
server=$!

# What pg_ctl waits for, too. No client program is needed this way.
until grep -qs '^ready' "$folder/data/postmaster.pid"; do
    kill -0 "$server" 2>/dev/null || fail "postgres did not start"
    sleep 0.02
done

url="postgres://pipewatch@127.0.0.1:${TCP_PORT-}/postgres"
# mktemp's name has nothing else to encode.
[[ -n ${TCP_PORT-} ]] || url="postgres://pipewatch@localhost/postgres?host=${folder//\//%2F}"
printf '%s\n' "$url" 2>/dev/null
exec >/dev/null

trap 'exit 130' INT
while read -r _; do :; done
