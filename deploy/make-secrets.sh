#!/bin/sh
# Writes what is secret into /secrets, each file once. A WEBHOOK_SECRET in .env is used instead of the file.
# PostgreSQL takes its password when its volume is made, so the two volumes belong together.
set -eu
umask 022

make() {
  [ -s "/secrets/$1" ] && return
  od -An -vtx1 -N32 /dev/urandom | tr -d ' \n' >"/secrets/$1.new"
  mv "/secrets/$1.new" "/secrets/$1"
  echo "$1: made"
}

make postgres-password
[ -n "${WEBHOOK_SECRET:-}" ] || make webhook-secret
