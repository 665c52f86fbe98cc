#!/bin/sh
# Runs the fuzzer that `make fuzz` has built: fuzz.sh MINUTES TARGET…
# Corpora grow in .build/fuzz/corpus; inputs that break a reader end up in .build/fuzz/findings.
# fuzz.sh keep TARGET… copies the inputs that reach code nothing else in fixtures/fuzz reaches.
set -eu
cd "$(dirname "$0")/../.."
program=$PWD/.build/fuzz/release/shardfuzz
export SWIFT_BACKTRACE=enable=no
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR="$work"
minutes=$1
shift
[ $# -gt 0 ] || set -- $(ls fixtures/fuzz | grep -v '\.py$')
for name in "$@"; do
  corpus=.build/fuzz/corpus/$name findings=.build/fuzz/findings/$name seeds=fixtures/fuzz/$name
  mkdir -p "$corpus" "$findings"
  export FUZZ_TARGET="$name"
  if [ "$minutes" = keep ]; then
    mkdir "$work/$name"
    cp "$seeds"/* "$work/$name"
    "$program" -merge=1 -max_len=2048 -timeout=5 "$work/$name" "$corpus" 2>"$work/log"
    for file in "$work/$name"/*; do
      base=${file##*/}
      [ -e "$seeds/$base" ] || cp "$file" "$seeds/find-$(printf %.12s "$base")"
    done
    continue
  fi
  printf '%s for %s minutes\n' "$name" "$minutes"
  "$program" -max_total_time=$((minutes * 60)) -timeout=10 \
    -malloc_limit_mb=64 -rss_limit_mb=1024 -use_value_profile=1 -print_final_stats=1 \
    -artifact_prefix="$findings/" "$corpus" "$seeds" 2>"$findings/log" || {
      tail -n 40 "$findings/log"; echo "$name: see $findings"; exit 1; }
  grep -E '^Done|DONE|stat::' "$findings/log"
done
