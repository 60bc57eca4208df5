#!/usr/bin/env bash
# A temporary PostgreSQL server for tests and benchmarks.
#
#   scripts/postgres.sh           start a server, print its URL on one line, serve until stdin
#                                 closes, then remove all files
#   scripts/postgres.sh --check   only check that PostgreSQL is installed
#
# FSYNC=on makes commits durable, for crash tests and benchmarks.
# TCP_PORT=n also listens on 127.0.0.1, and prints the URL of that address.
# Exit status: 69 if PostgreSQL is not available, 64 for an invalid argument.
#
# stdin is the stop signal because it closes however the caller ends, kill -9 included. Close
# the pipe and wait for this script instead of killing it.
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
    say "PostgreSQL server not found; installing the Debian package"
    # Debian also creates a cluster. It does not conflict with this server, which listens on a
    # Unix socket in a temporary folder and on no port.
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
    say "the tests need the PostgreSQL programs initdb and postgres:"
    say "install them (Debian, Ubuntu: apt-get install postgresql) or add them to PATH"
    exit 69
fi
if [[ $mode == --check ]]; then
    "$bin/postgres" --version
    exit
fi

# Not TMPDIR: a socket path is limited to about 107 bytes, and the postgres user must reach it.
# FSYNC=on uses /var/tmp because /tmp may be in memory.
durable=off
parent=/tmp
if [[ ${FSYNC-} == on ]]; then
    durable=on
    parent=/var/tmp
fi

folder=
server=
clean_up() {
    # A second Ctrl-C must not interrupt the cleanup.
    trap '' INT TERM HUP PIPE
    if [[ -n $server ]]; then
        # QUIT stops the server immediately, but bash starts background commands with QUIT
        # ignored; TERM ends the server before it has installed its signal handlers.
        kill -TERM "$server" 2>/dev/null || true
        kill -QUIT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    if [[ -n $folder ]]; then
        cd /
        # Child processes of a killed server may still be writing.
        rm -rf -- "$folder" 2>/dev/null || { sleep 1 && rm -rf -- "$folder"; }
    fi
}
trap clean_up EXIT
# Bash can lose an INT that arrives between two short commands, or hang on it, so INT is ignored
# until the server is up. Ctrl-C also ends the caller, which closes stdin.
trap '' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
# The caller may have ended before it read the URL.
trap 'exit 141' PIPE

# mktemp must survive a signal to the process group, or the name of the folder would be lost.
folder=$(trap '' TERM HUP; mktemp -d "$parent/pipewatch.XXXXXX")
log=$folder/log

as_server=(env)
if setsid setpriv --pdeathsig QUIT true 2>/dev/null; then
    # A signal to the process group must reach this script only, which then stops the server
    # cleanly. If the script is killed with -9, the kernel stops the server.
    as_server=(setsid setpriv --pdeathsig QUIT)
fi
if ((EUID == 0)); then
    # PostgreSQL refuses to run as root.
    user=postgres
    id "$user" >/dev/null 2>&1 || user=nobody
    chown "$user" "$folder"
    as_server+=(--reuid="$user" --regid="$(id -g "$user")" --clear-groups)
fi
# The postgres user may have no access to the caller's working directory.
cd "$folder"

fail() {
    say "$1"
    cat "$log" >&2
    exit 1
}

"${as_server[@]}" "$bin/initdb" -D "$folder/data" -U pipewatch \
    --auth=trust --encoding=UTF8 --locale=C --no-sync \
    </dev/null >"$log" 2>&1 || fail "initdb failed"

# The server inherits neither stdin nor stdout: the caller's pipes must close with this script.
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

# pg_ctl waits for the same line. This needs no client program.
until grep -qs '^ready' "$folder/data/postmaster.pid"; do
    kill -0 "$server" 2>/dev/null || fail "postgres did not start"
    sleep 0.02
done

url="postgres://pipewatch@127.0.0.1:${TCP_PORT-}/postgres"
# Slashes are the only characters of the path that need encoding.
[[ -n ${TCP_PORT-} ]] || url="postgres://pipewatch@localhost/postgres?host=${folder//\//%2F}"
printf '%s\n' "$url" 2>/dev/null
exec >/dev/null

trap 'exit 130' INT
while read -r _; do :; done
