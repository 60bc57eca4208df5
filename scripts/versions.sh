#!/bin/sh
# versions.sh PROGRAM MINIMUM WHAT: fails unless PROGRAM is installed in version MINIMUM or newer.
set -eu
program=$1 minimum=$2 what=$3
if ! found=$("$program" --version 2>/dev/null); then
    echo "make: $program is missing: install $what, $minimum or newer" >&2
    exit 1
fi
version=$(printf '%s\n' "$found" | sed -E 's/^[^0-9]*([0-9]+(\.[0-9]+)*).*/\1/')
oldest=$(printf '%s\n%s\n' "$minimum" "$version" | sort -V | head -n 1)
if [ "$oldest" != "$minimum" ]; then
    echo "make: $program $version is too old: install $what, $minimum or newer" >&2
    exit 1
fi
