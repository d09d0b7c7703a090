#!/usr/bin/env bash
# Checks with the newest clients of W&B and TensorBoard that they read what rlvr writes: real training runs, a stand-in for
# W&B's server on the loopback address (scripts/wandb_backend.py), and scripts/check_trackers.py, which compares.
#
#   scripts/check-trackers.sh [RLVR]
#
# RLVR is the binary; it is built if none is named. The clients come from PyPI into a folder that is removed afterwards;
# where they cannot be had the checks are skipped, with a line that says so.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
skip() {
  printf 'check-trackers: skipped: %s\n' "$1" >&2
  exit 0
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

command -v python3 >/dev/null || skip 'python3 is not installed'
python3 -m venv "$work/env" >"$work/log" 2>&1 || skip "python3 cannot make an environment: $(tail -n 1 "$work/log")"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check wandb tensorboard >"$work/log" 2>&1 ||
  skip "the clients cannot be installed from PyPI: $(tail -n 1 "$work/log")"

binary=${1:-}
if [ -z "$binary" ]; then
  artifacts=$(cd "$scripts/.." && cargo build --release --locked --package rlvr --bin rlvr --message-format=json-render-diagnostics)
  binary=$(sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' <<<"$artifacts" | tail -n 1)
fi

mkdir "$work/runs"
PYTHONDONTWRITEBYTECODE=1 "$work/env/bin/python" "$scripts/check_trackers.py" "$binary" "$work/runs"
