#!/bin/bash
# start.sh NAME PORT: becomes the server NAME on 127.0.0.1:PORT, which prints `ready` once it accepts.
set -eu
cd "$(dirname "$0")"
name=$1 port=$2
ulimit -n "$(ulimit -Hn)"
export NODE_ENV=production

case $name in
async-graphql) exec async-graphql/target/release/peer-async-graphql "$port" ;;
fastapi) exec fastapi/venv/bin/python fastapi/server.py "$port" ;;
graphql-ws | ws) exec node "node/$name.js" "$port" ;;
bun) exec node/node_modules/@oven/bun-*/bin/bun node/bun.js "$port" ;;
nchan-ws | nchan-sse)
  run=$PWD/run/$port
  mkdir -p "$run"
  sed "s/PORT/$port/" nchan/nginx.conf >"$run/nginx.conf"
  (python3 nchan/publisher.py "$port" $$ &) # in a subshell, so that it does not become a child of nginx
  exec /usr/sbin/nginx -p "$run" -c "$run/nginx.conf" -e stderr
  ;;
*)
  echo "start.sh: no peer is called $name" >&2
  exit 2
  ;;
esac
