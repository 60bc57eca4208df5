#!/usr/bin/env bash
# Prints where PgBouncer is, for the test through a pooler; installs Debian's where there is none and apt-get may.
# Exit status: 69 if there is none to be had.
set -euo pipefail

say() { printf 'pgbouncer.sh: %s\n' "$*" >&2; }

find_pooler() {
    # One that is named must be that one. Debian keeps it off the PATH of other users than root.
    PATH=$PATH:/usr/sbin type -P "${PGBOUNCER:-pgbouncer}"
}

install_by_apt() {
    ((EUID == 0)) && type -P apt-get >/dev/null || return 1
    say "no PgBouncer found, installing Debian's"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update </dev/null >&2 && apt-get install -y --no-install-recommends pgbouncer </dev/null >&2
}

if ! pooler=$(find_pooler) && ! { [[ -z ${PGBOUNCER-} ]] && install_by_apt && pooler=$(find_pooler); }; then
    say "the test through a pooler needs PgBouncer: install it (Debian: apt-get install pgbouncer), or name it in PGBOUNCER"
    exit 69
fi
printf '%s\n' "$pooler"
