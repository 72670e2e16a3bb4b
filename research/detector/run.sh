#!/usr/bin/env bash
# Trains the detector on the machine at hand and leaves three files in $OUT/detector.
# SMOKE=1 does about 25 seconds of it, through every path; SECONDS_IN_ALL sets the time otherwise.
set -u
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
out="${OUT:-$here/out}/detector"
[ "${SMOKE:-0}" = 1 ] && out="${out}_smoke"
mkdir -p "$out"
cd "$here" || exit 1
export PYTHONUNBUFFERED=1 PYTHONPATH="$here" PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True
seconds="${SECONDS_IN_ALL:-540}"
config=gpu.yaml
extra=()
if [ "${SMOKE:-0}" = 1 ]; then
  seconds="${SMOKE_SECONDS:-30}"
  config=smoke.yaml
  extra=(--limit "${SMOKE_LIMIT:-60}")
fi
for attempt in 1 2 3; do
  begin=$(date +%s)
  python3 -m research.detector.train --pack pack.npz -c "$config" -o "$out" \
    --left "$seconds" "${extra[@]}" "$@" 2>&1 | tee -a "$here/train.txt"
  code=${PIPESTATUS[0]}
  [ "$code" = 0 ] && break
  # Go on from the last checkpoint with the time that is left.
  seconds=$((seconds - $(date +%s) + begin))
  echo "attempt $attempt ended with $code; $seconds seconds are left"
  [ "$seconds" -lt 40 ] && break
done
ls -la "$out"
exit "$code"
