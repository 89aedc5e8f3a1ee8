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
  uv pip compile --quiet pyproject.toml --extra "$device" --extra dev "$@" \
    --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
    --generate-hashes --no-header --no-annotate --output-file "deploy/lock-$device.txt"
}

# CPU torch is the one package without hashes: its wheels come from more than one place (a folder
# of one wheel here, an index of all of them elsewhere), so no list of hashes is right everywhere.
without_torch_hashes() {
  awk '/^[a-z]/ { torch = /^torch==/ } torch && !/^torch==/ { next } torch { sub(/ \\$/, "") } { print }' "$1" >"$1.new"
  mv "$1.new" "$1"
}

(
  find_packages pyproject.toml
  resolve cpu --excludes deploy/excludes-cpu.txt "${TORCH_SOURCE[@]}"
  without_torch_hashes deploy/lock-cpu.txt
)
find_packages /dev/null
resolve gpu
