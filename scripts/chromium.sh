#!/usr/bin/env bash
# Prints the path of Chromium, for the browser tests. Installs Debian's package when Chromium is missing and apt-get is
# allowed to (root). Exit status: 69 if Chromium is not available.
set -euo pipefail

say() { printf 'chromium.sh: %s\n' "$*" >&2; }

find_browser() {
    # CHROMIUM, when set, has no fallback.
    local names=(chromium chromium-browser google-chrome-stable google-chrome)
    [[ -z ${CHROMIUM-} ]] || names=("$CHROMIUM")
    for name in "${names[@]}"; do
        type -P "$name" && return
    done
    return 1
}

install_by_apt() {
    ((EUID == 0)) && type -P apt-get >/dev/null || return 1
    say "Chromium not found; installing the Debian package"
    export DEBIAN_FRONTEND=noninteractive
    # Without these fonts, text renders as boxes.
    apt-get update </dev/null >&2 && apt-get install -y chromium fonts-dejavu-core </dev/null >&2
}

if ! browser=$(find_browser) && ! { [[ -z ${CHROMIUM-} ]] && install_by_apt && browser=$(find_browser); }; then
    say "the browser tests need Chromium: install it (Debian: apt-get install chromium) or set CHROMIUM to its path"
    exit 69
fi
printf '%s\n' "$browser"
