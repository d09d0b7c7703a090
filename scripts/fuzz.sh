#!/usr/bin/env bash
# Fuzzes the verifiers: scripts/fuzz.sh [TARGET] [SECONDS]
#
# TARGET is one of verifiers/fuzz/fuzz_targets, or "all" (the default); SECONDS are per target (default 60). Needs a C++
# compiler and cargo-fuzz (`cargo install cargo-fuzz`). What makes a target fail is written to
# verifiers/fuzz/artifacts/TARGET. New inputs go to a scratch corpus; with KEEP=1 they are minimised into the committed
# one.
set -euo pipefail
cd "$(dirname "$0")/../verifiers"

target="${1:-all}"
seconds="${2:-60}"

if ! cargo fuzz --version >/dev/null 2>&1; then
  echo "fuzz.sh: cargo-fuzz is missing; install it with: cargo install cargo-fuzz" >&2
  exit 2
fi

# The flags that libFuzzer's instrumentation needs are unstable; a stable compiler accepts them when told to.
export RUSTC_BOOTSTRAP=1
# The code is safe Rust: a panic, a time-out or a hunger for memory is what there is to find, not a stray pointer.
options=(--sanitizer none --release)

if [ "$target" = all ]; then
  targets=(fuzz/fuzz_targets/*.rs)
else
  targets=("fuzz/fuzz_targets/$target.rs")
fi

for path in "${targets[@]}"; do
  name="$(basename "$path" .rs)"
  if [ ! -f "$path" ]; then
    echo "fuzz.sh: there is no target \`$name\`; there are: $(basename -s .rs fuzz/fuzz_targets/*.rs | tr '\n' ' ')" >&2
    exit 2
  fi
  scratch="${FUZZ_SCRATCH:-fuzz/target/scratch}/$name"
  mkdir -p "$scratch" "fuzz/corpus/$name"
  echo "== $name, $seconds s"
  cargo fuzz run "${options[@]}" "$name" "$scratch" "fuzz/corpus/$name" -- \
    -max_total_time="$seconds" -max_len=2000 -timeout=2 -rss_limit_mb=2048 -dict="fuzz/math.dict" \
    -print_final_stats=1 -verbosity=0
  if [ "${KEEP:-0}" = 1 ]; then
      kept="$scratch.kept"
      rm -rf "$kept" && mkdir -p "$kept"
      cargo fuzz run "${options[@]}" "$name" "$kept" "fuzz/corpus/$name" "$scratch" -- -merge=1 -max_len=300
      rm -rf "fuzz/corpus/$name" && mv "$kept" "fuzz/corpus/$name"
  fi
done
