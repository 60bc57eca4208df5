#!/bin/sh
# versions.sh PROGRAM LEAST WHAT: fails unless PROGRAM is there and at least as new as LEAST.
set -eu
program=$1 least=$2 what=$3
if ! found=$("$program" --version 2>/dev/null); then
    echo "make: $program is missing: install $what, $least or newer" >&2
    exit 1
fi
version=$(printf '%s\n' "$found" | sed -E 's/^[^0-9]*([0-9]+(\.[0-9]+)*).*/\1/')
oldest=$(printf '%s\n%s\n' "$least" "$version" | sort -V | head -n 1)
if [ "$oldest" != "$least" ]; then
    echo "make: $program $version is too old: install $what, $least or newer" >&2
    exit 1
fi
