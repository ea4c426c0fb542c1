#!/bin/sh
# Asks for a version of a model over HTTP, by a CloudEvent: post.sh ID MODEL VERSION [POLICY]
# TIDEGATE_KEY_FILE names the file with the API's key, TIDEGATE_URL the API. The same ID again is no second rollout.
set -eu
if [ $# -lt 3 ] || [ $# -gt 4 ]; then
    echo "usage: post.sh ID MODEL VERSION [POLICY]" >&2
    exit 64
fi
case "$*" in
    *[\"\\]* | *[[:cntrl:]]*) echo "post.sh: quotation marks, backslashes and control characters can't be sent" >&2; exit 64 ;;
esac
event='{"specversion":"1.0","id":"%s","source":"/ci","type":"dev.tidegate.version.promote.v1","data":{"model":"%s","version":"%s","policy":"%s"}}'
# The key goes in by the standard input: what is typed is seen by everybody on the machine.
# shellcheck disable=SC2059
printf 'x-api-key: %s' "$(cat "${TIDEGATE_KEY_FILE:?names the file with the key}")" |
    curl --silent --show-error --fail-with-body --max-time 30 --retry 5 --retry-connrefused --retry-max-time 60 \
        --header @- --header 'content-type: application/cloudevents+json' \
        --data "$(printf "$event" "$1" "$2" "$3" "${4:-starter}")" "${TIDEGATE_URL:-http://127.0.0.1:7070}/v1/events"
echo
