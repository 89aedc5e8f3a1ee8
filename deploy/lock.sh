#!/usr/bin/env bash
# Resolves pyproject.toml into deploy/lock-cpu.txt and deploy/lock-gpu.txt; `make lock` runs it.
# What is locked already stays as it is where it can: delete a lock first to take newer releases.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/packages.sh

resolve() { # device, further arguments of uv
  local device=$1
  shift
  echo "resolving deploy/lock-$device.txt ..."
  # Resolved for Python 3.11; the pins hold on 3.12 and 3.13 too.
  uv pip compile --quiet pyproject.toml "$@" --extra "$device" --extra dev \
    --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
    --generate-hashes --no-header --no-annotate --output-file "deploy/lock-$device.txt"
}

# What the installed torch asks for, as requirements.
torch_needs() {
  .venv/bin/python -c 'import importlib.metadata as m
print(*(need for need in m.requires("torch") if "extra ==" not in need), sep="\n")'
}

# CPU torch stays out of the resolution: its wheels come from different places on different machines
# (a folder with one wheel, an index of all of them), so there are no hashes that are right everywhere.
# What it needs is resolved in its stead, and its pin is added at the end.
lock_cpu() {
  local scratch
  scratch=$(mktemp -d)
  find_packages pyproject.toml
  uv pip install -q --no-deps "${TORCH_SOURCE[@]}" "$TORCH"
  torch_needs >"$scratch/needs.txt"
  { cat deploy/excludes-cpu.txt; echo torch; } >"$scratch/excludes.txt"
  resolve cpu "$scratch/needs.txt" --excludes "$scratch/excludes.txt"
  echo "$TORCH" >>deploy/lock-cpu.txt
  rm -r "$scratch"
}

(lock_cpu)
find_packages /dev/null
resolve gpu

# Environments of the tests' own: the same platform and Python, pins without hashes.
for input in tests/clients/python/*.in tests/bench/judges/*.in tests/docs/*.in; do
  echo "resolving ${input%.in}.txt ..."
  excludes=()
  [[ ! -f ${input%.in}.excludes ]] || excludes=(--excludes "${input%.in}.excludes")
  uv pip compile --quiet "$input" "${excludes[@]}" \
    --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
    --no-header --no-annotate --output-file "${input%.in}.txt"
done
