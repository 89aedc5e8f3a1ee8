# Sourced by install.sh and lock.sh, which run in the root of the checkout: uv, and where it looks.

uv() { .venv/bin/uv "$@"; }

# Prints the value of pip's option $1, wherever it is set; nothing when it is set nowhere.
pip_option() {
  .venv/bin/python -m pip config list 2>/dev/null | sed -n "s/^[^=]*\.$1='\(.*\)'\$/\1/p" | head -n 1
}

# Hands pip's own configuration to uv, which does not read it. File $1 names torch's CPU build, if
# the device needs one: it comes from pip's configuration when that offers it, else from PyTorch's
# CPU index, whose address uv knows. TORCH_SOURCE gets uv's arguments for that.
find_packages() {
  local torch links index
  index=$(pip_option index-url)
  [[ -z $index ]] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
  TORCH_SOURCE=()
  torch=$(sed -n 's/^.*\(torch==[0-9.]*+cpu\).*$/\1/p' "$1")
  [[ -n $torch ]] || return 0 # a folder of CPU wheels must not serve the GPU lock
  links=$(pip_option find-links)
  [[ -z $links ]] || export UV_FIND_LINKS="${UV_FIND_LINKS:-${links// /,}}"
  uv pip install -q --dry-run --no-deps "$torch" 2>/dev/null || TORCH_SOURCE=(--torch-backend cpu)
}
