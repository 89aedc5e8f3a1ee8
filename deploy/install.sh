#!/usr/bin/env bash
# Creates or updates .venv from deploy/lock-$DEVICE.txt (cpu or gpu); `make setup` runs it.
# Does nothing, in a blink, when .venv already holds what the lock says.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/packages.sh

say() { echo "sluice set-up: $*" >&2; }
fail() {
  say "$*"
  exit 2
}

python_command() {
  local candidate
  for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "no Python 3.11, 3.12 or 3.13 found; install one, or name it: make setup PYTHON=/path/to/python3.11"
}

# A venv holds absolute paths: one that was moved, or whose Python is gone, is made anew.
venv_usable() {
  .venv/bin/python -c '' 2>/dev/null && grep -qs "^#!$PWD/.venv/bin/python" .venv/bin/pip
}

lock=deploy/lock-${DEVICE:-cpu}.txt
[[ -f $lock ]] || fail "DEVICE=$DEVICE: no such lock; use DEVICE=cpu or DEVICE=gpu"
stamp=.venv/installed
wanted="$lock $(cat "$lock" pyproject.toml deploy/install.sh deploy/packages.sh | sha256sum | cut -d' ' -f1)"
if venv_usable; then
  [[ $(cat "$stamp" 2>/dev/null) != "$wanted" ]] || exit 0
else
  python=$(python_command)
  say "creating .venv with $("$python" --version)"
  "$python" -m venv --clear .venv || fail "python's venv module failed; on Debian and Ubuntu: apt install python3-venv"
fi
rm -f "$stamp"
say "installing uv"
.venv/bin/python -m pip install -q --disable-pip-version-check "$(sed -n 's/^\(uv==[^ ]*\).*$/\1/p' "$lock")"
find_packages "$lock"
say "installing $(grep -c '^[a-z]' "$lock") packages from $lock (a few GB; minutes at first, seconds from uv's cache)"
# `sync` also removes what the lock does not name, above all the other device's vLLM.
uv pip sync "$lock" "${TORCH_SOURCE[@]}"
say "installing sluice itself, editable"
uv pip install -q --no-deps --no-build-isolation --editable .
echo "$wanted" >"$stamp"
say "ready: .venv"
