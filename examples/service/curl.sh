#!/usr/bin/env bash
# The service from the command line. Start it first: mien serve
# Usage: examples/service/curl.sh [PHOTO]; MIEN_URL and MIEN_KEY say where and with which key.
set -euo pipefail
url=${MIEN_URL:-http://127.0.0.1:8000}
photo=${1:-src/mien/assets/sample/astronaut.jpg}
key=()
if [ -n "${MIEN_KEY:-}" ]; then key=(-H "Authorization: Bearer $MIEN_KEY"); fi

# Is it ready?
curl -fsS "$url/readyz"
echo
# A photo; -F images=@... may be repeated.
curl -fsS "${key[@]}" -F "images=@$photo" "$url/v1/predict?top_k=3"
echo
# The same as JSON with base64, in another label schema.
printf '{"images": [{"name": "photo.jpg", "data": "%s"}]}' "$(base64 -w 0 "$photo")" |
  curl -fsS "${key[@]}" -H 'Content-Type: application/json' --data-binary @- \
    "$url/v1/predict?labels=hes3"
echo
