#!/usr/bin/env bash
# Replaces every node by a new one, one at a time: a rolling restart, or an update when a new image was built.
# No request and no event is lost: a new node is ready before an old one leaves.
#   docker compose build && docker compose run --rm migrate && deploy/roll.sh
set -euo pipefail
[[ -n ${COMPOSE_FILE:-} ]] || cd "$(dirname "${BASH_SOURCE[0]}")/.."

nodes=$(docker compose ps -q app)
count=$(wc -w <<<"$nodes")
for node in $nodes; do
  docker compose up -d --no-deps --no-recreate --no-build --wait --scale "app=$((count + 1))" app
  # SIGTERM, and `stop_grace_period` to move its sockets away.
  docker stop "$node" >/dev/null
  docker rm "$node" >/dev/null
done
