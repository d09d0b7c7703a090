#!/usr/bin/env bash
# Looks at the dashboard in a real browser: pages, filters, a run that goes on, hostile text, foreign hosts.
#
#   scripts/check-dashboard.sh [--screenshots DIR] [--large] [COMMAND…]
#
# COMMAND serves the run folders that are appended to it and prints its address; by default it is `rlvr dashboard --port 0`.
# `--large` also measures a run of 1,000 steps of 512 rollouts, for which it writes 750 MB. Needs Chromium and python3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

options=()
while [ $# -gt 0 ]; do
  case $1 in
    --screenshots) options+=("$1" "$2") && shift 2 ;;
    --large) options+=("$1") && shift ;;
    *) break ;;
  esac
done
target=${CARGO_TARGET_DIR:-target}
if [ $# -eq 0 ]; then
  cargo build --release --locked -p rlvr
  set -- "$target/release/rlvr" dashboard --port 0
fi

for name in chromium chromium-browser google-chrome; do
  browser=$(command -v "$name") && break
done
if [ -z "${browser:-}" ]; then
  echo "no Chromium is installed; on Debian: apt-get install chromium" >&2
  exit 1
fi

# The driver of the browser, kept from one time to the next.
venv=$target/playwright
if ! "$venv/bin/python" -c 'import playwright' 2>/dev/null; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check 'playwright>=1.49'
fi
exec "$venv/bin/python" scripts/check_dashboard.py --browser "$browser" "${options[@]}" -- "$@"
