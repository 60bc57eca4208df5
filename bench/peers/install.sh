#!/bin/bash
# Installs what the peers need. Prints `ok NAME` or `unavailable NAME reason` for each, and ends with 0 all the same.
set -u
cd "$(dirname "$0")"

# report NAME REASON COMMAND…: runs the command, its output to stderr
report() {
  local name=$1 reason=$2
  shift 2
  if "$@" >&2; then echo "ok $name"; else echo "unavailable $name $reason"; fi
}

async_graphql() (
  cd async-graphql && CARGO_TARGET_DIR=target cargo build --release --locked
)

fastapi() (
  cd fastapi && python3 -m venv venv && venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
)

node_modules() (
  cd node || exit
  [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund
)

bun() {
  node/node_modules/@oven/bun-*/bin/bun --version
}

nchan() {
  [ -x /usr/sbin/nginx ] && [ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] && return
  [ "$(id -u)" = 0 ] || return
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -qq -y --no-install-recommends nginx-light libnginx-mod-nchan
}

report async-graphql "its cargo build failed" async_graphql
report fastapi "no venv, or pip failed" fastapi
report graphql-ws "npm ci failed" node_modules
report ws "npm ci failed" node_modules
report bun "no program for this platform" bun
report nchan-ws "nginx-light and libnginx-mod-nchan are not there" nchan
report nchan-sse "nginx-light and libnginx-mod-nchan are not there" nchan
