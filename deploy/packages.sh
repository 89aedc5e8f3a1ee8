# Sourced by install.sh and lock.sh, which run in the root of the checkout: uv, and where it looks.

unset VIRTUAL_ENV CONDA_PREFIX # else uv works on what the user has activated
uv() { .venv/bin/uv "$@"; }

# Prints the value of pip's option $1, wherever it is set; nothing when it is set nowhere.
pip_option() {
  .venv/bin/python -m pip config list 2>/dev/null | sed -n "s/^[^=]*\.$1='\(.*\)'\$/\1/p" | head -n 1
}

# Hands pip's own configuration to uv, which does not read it. File $1 pins torch's CPU build, if
# the device needs one: TORCH is that pin, and TORCH_SOURCE is empty when pip's configuration
# offers it, else it holds the arguments that make uv ask PyTorch's CPU index (uv knows its address).
find_packages() {
  local links index
  index=$(pip_option index-url)
  [[ -z $index ]] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
  TORCH=$(sed -n 's/^.*\(torch==[0-9.]*+cpu\).*$/\1/p' "$1")
  TORCH_SOURCE=()
  [[ -n $TORCH ]] || return 0 # a folder of CPU wheels must not serve the GPU lock
  links=$(pip_option find-links)
  [[ -z $links ]] || export UV_FIND_LINKS="${UV_FIND_LINKS:-${links// /,}}"
  uv pip compile -q --no-deps - <<<"$TORCH" &>/dev/null || TORCH_SOURCE=(--torch-backend cpu)
}
