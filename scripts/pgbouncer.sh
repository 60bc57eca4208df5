#!/usr/bin/env bash
# Prints the path of PgBouncer, for the connection pooler test. Installs Debian's package when PgBouncer is missing and
# apt-get is allowed to (root). Exit status: 69 if PgBouncer is not available.
set -euo pipefail

say() { printf 'pgbouncer.sh: %s\n' "$*" >&2; }

find_pooler() {
    # PGBOUNCER, when set, has no fallback. Debian installs the program in /usr/sbin, which is on root's PATH only.
    PATH=$PATH:/usr/sbin type -P "${PGBOUNCER:-pgbouncer}"
}

install_by_apt() {
    ((EUID == 0)) && type -P apt-get >/dev/null || return 1
    say "PgBouncer not found; installing the Debian package"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update </dev/null >&2 && apt-get install -y --no-install-recommends pgbouncer </dev/null >&2
}

if ! pooler=$(find_pooler) && ! { [[ -z ${PGBOUNCER-} ]] && install_by_apt && pooler=$(find_pooler); }; then
    say "the connection pooler test needs PgBouncer: install it (Debian: apt-get install pgbouncer) or set PGBOUNCER to its path"
    exit 69
fi
printf '%s\n' "$pooler"
