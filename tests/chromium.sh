#!/usr/bin/env bash
# Prints where Chromium is, for the tests in a browser; installs Debian's where there is none and apt-get may.
# Exit status: 69 if there is none to be had.
set -euo pipefail

say() { printf 'chromium.sh: %s\n' "$*" >&2; }

find_browser() {
    # One that is named must be that one.
    local names=(chromium chromium-browser google-chrome-stable google-chrome)
    [[ -z ${CHROMIUM-} ]] || names=("$CHROMIUM")
    for name in "${names[@]}"; do
        type -P "$name" && return
    done
    return 1
}

install_by_apt() {
    ((EUID == 0)) && type -P apt-get >/dev/null || return 1
    say "no Chromium found, installing Debian's"
    export DEBIAN_FRONTEND=noninteractive
    # Without its fonts a page is shown in boxes.
    apt-get update </dev/null >&2 && apt-get install -y chromium fonts-dejavu-core </dev/null >&2
}

if ! browser=$(find_browser) && ! { [[ -z ${CHROMIUM-} ]] && install_by_apt && browser=$(find_browser); }; then
    say "the tests in a browser need Chromium: install it (Debian: apt-get install chromium), or name it in CHROMIUM"
    exit 69
fi
printf '%s\n' "$browser"
