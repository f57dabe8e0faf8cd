#!/bin/sh
# Starts n8n with the credentials and the workflow in it, and active. What was imported stays as it is, edits made in
# n8n's editor included, until this folder or the settings change; then it is imported again, over them.
set -eu
here=$(dirname "$0")
home=${N8N_USER_FOLDER:-$HOME}/.n8n
stamp=$home/chaptercast-imported
mkdir -p "$home"
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

node "$here/fill.mjs" "$work"
sum=$(cat "$work"/*.json | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$sum" ]; then
  echo 'chaptercast: importing credentials and the workflow'
  # n8n does not import over an active workflow. One that is not active, or not there, is as well. The last three
  # are from before there was one for all kinds.
  for id in chaptercast chaptercast-concept chaptercast-exercise chaptercast-quiz; do
    [ ! -s "$home/database.sqlite" ] || n8n unpublish:workflow --id="$id" || true
  done
  n8n import:credentials --input="$work/credentials.json"
  n8n import:workflow --input="$work/kafka.json"
  n8n publish:workflow --id=chaptercast
  # Last: an import that was broken off is made again.
  echo "$sum" >"$stamp"
fi
rm -rf "$work"
# They are in n8n's database now, encrypted.
unset OPENAI_API_KEY WEBHOOK_SECRET KAFKA_SASL_PASSWORD
exec n8n start
