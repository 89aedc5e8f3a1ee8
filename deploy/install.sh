#!/usr/bin/env bash
# Creates or updates .venv from deploy/lock-$DEVICE.txt (cpu at first, or gpu); `make setup` runs it.
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
  .venv/bin/python -c '' 2>/dev/null && grep -qsF "$(pwd -P)/.venv" .venv/pyvenv.cfg
}

# Making it anew empties the folder, and the lock removes what it does not name: never from another's.
refuse_foreign_venv() {
  local remedy="move it away (mv .venv ../venv-old) and run make setup again"
  if [[ -L .venv ]]; then
    fail ".venv is a link to $(readlink .venv); nothing there is touched. Remove the link (rm .venv) and run make setup again"
  elif [[ -e .venv && ! -d .venv ]]; then
    fail ".venv is no folder; $remedy"
  elif [[ -d .venv && ! -e .venv/$mark && ! -e .venv/.device && -n $(ls -A .venv) ]]; then
    fail ".venv was not made by make setup; nothing in it is touched: $remedy"
  fi
}

make_venv() {
  local python
  python=$(python_command)
  say "creating .venv with $("$python" --version)"
  mkdir -p .venv
  touch ".venv/$mark" # first: a set-up that is cut off here is still known as ours
  find .venv -mindepth 1 -maxdepth 1 ! -name "$mark" -exec rm -rf {} +
  "$python" -m venv .venv || fail "python's venv module failed; on Debian and Ubuntu: apt install python3-venv"
}

# Whether step $1 was done before for the same input $2; `record` notes that it is done.
is_done() { [[ $(cat ".venv/.done-$1" 2>/dev/null) == "$2" ]]; }
record() { echo "$2" >".venv/.done-$1"; }
hash_of() { cat "$@" | sha256sum | cut -d' ' -f1; }

device=${DEVICE:-$(cat .venv/.device 2>/dev/null || true)} # unsaid: what .venv was made for
device=${device:-cpu}
lock=deploy/lock-$device.txt
[[ -f $lock ]] || fail "DEVICE=$device: there is no $lock; use DEVICE=cpu or DEVICE=gpu"
packages=$(hash_of "$lock")
project=$packages-$(hash_of pyproject.toml)

mark=.made-by-make-setup
refuse_foreign_venv
venv_usable || make_venv
if ! is_done packages "$packages"; then
  say "installing uv"
  .venv/bin/python -m pip install -q --disable-pip-version-check "$(sed -n 's/^\(uv==[^ ]*\).*$/\1/p' "$lock")"
  find_packages "$lock"
  say "installing $(grep -c '^[a-z]' "$lock") packages from $lock (a few GB; minutes at first, seconds from uv's cache)"
  [[ -t 2 ]] && quiet=() || quiet=(-q) # on a terminal uv draws its progress
  if ((${#TORCH_SOURCE[@]})); then
    # On its own: the index has other packages too, whose files need not be those of the lock.
    say "installing $TORCH from PyTorch's CPU index"
    uv pip install "${quiet[@]}" --no-deps "${TORCH_SOURCE[@]}" "$TORCH"
  fi
  # `sync` also removes what the lock does not name, above all the other device's vLLM.
  uv pip sync "${quiet[@]}" "$lock"
  record packages "$packages"
  echo "$device" >.venv/.device
fi
if ! is_done bytecode "$packages"; then
  # A start reads it even where PYTHONDONTWRITEBYTECODE forbids it to write it, as in many container
  # images. Without it each process of an engine compiles torch and vLLM anew: 7 s of CPU, three times.
  say "compiling the packages' bytecode"
  .venv/bin/python -m compileall -q -j 0 .venv/lib/python*/site-packages >/dev/null 2>&1 || true # templates fail
  record bytecode "$packages"
fi
if ! is_done project "$project"; then
  say "installing sluice itself, editable"
  uv pip install -q --no-deps --no-build-isolation --editable .
  record project "$project"
  say "ready: .venv"
fi
