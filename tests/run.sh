#!/usr/bin/env bash
# Every test; `make test` runs it.
# A gateway takes most of a minute to start, nearly all of it on one core. So the tests that one core
# is enough for run beside the others, in Linux's idle class: on what these leave, never in their way.
# They have ended before those begin that measure (marker alone).
set -uo pipefail
cd "$(dirname "$0")/.."

idle=(nice -n 19)
chrt --idle 0 true 2>/dev/null && idle=(chrt --idle 0) # where there is one, and it is allowed
told=$(mktemp)
beside=
status=0

note() { ((status)) || status=$1; } # the first failure's counts
at_end() {
  if [[ -n $beside ]]; then # cut off: it ends its engine, and what it had said is shown
    kill -INT -- "-$beside" 2>/dev/null
    wait "$beside"
    cat "$told"
  fi
  rm -f "$told"
}
trap at_end EXIT
trap 'exit 130' INT TERM

set -m # a process group of its own: others in the background do not hear SIGINT
"${idle[@]}" .venv/bin/pytest -m "not both_cores and not alone" >"$told" 2>&1 &
beside=$!
set +m
.venv/bin/pytest -m "both_cores and not alone and not clients" || note $?
wait "$beside" || note $?
beside=
cat "$told"
.venv/bin/pytest -m alone || note $?
exit "$status"
