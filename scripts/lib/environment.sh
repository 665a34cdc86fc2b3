# Makes this project's Python environment. Sourced by the scripts.
# shellcheck shell=bash

PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
VENV=$PROJECT/.venv
PYTHON=$VENV/bin/python

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "ERROR: $*"
  exit 1
}

# make_environment NAME: makes the virtual environment of requirements/NAME.lock, unless it is up to
# date already.
make_environment() {
  local lock=requirements/$1.lock stamp=$VENV/.installed-$1
  local wanted
  wanted=$(stamp_of "$1")
  if [[ -x $PYTHON && -f $stamp && $(<"$stamp") == "$wanted" ]]; then
    return
  fi
  make_venv
  say "Installing what $lock lists into $VENV. The first time, this downloads about 1 GB."
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --require-hashes \
    --requirement "$PROJECT/requirements/installer.lock"
  use_index_of_pip
  "$VENV/bin/uv" pip install --quiet --python "$PYTHON" --require-hashes --requirement "$PROJECT/$lock"
  "$VENV/bin/uv" pip install --quiet --python "$PYTHON" --no-deps --no-build-isolation \
    --editable "$PROJECT"
  printf '%s' "$wanted" >"$stamp"
  if [[ $1 == dev ]]; then # dev.lock contains cpu.lock
    stamp_of cpu >"$VENV/.installed-cpu"
  fi
}

# stamp_of NAME: prints a checksum of the lock and the project's metadata.
stamp_of() {
  cat "$PROJECT"/requirements/{"$1",installer}.lock "$PROJECT/pyproject.toml" | cksum
}

# make_venv: makes an empty virtual environment with pip, unless there is one. An environment without
# pip was left by an interrupted start and is replaced.
make_venv() {
  local python
  if [[ -x $PYTHON ]] && "$PYTHON" -m pip --version >/dev/null 2>&1; then
    return
  fi
  for python in "${GALAXY_PYTHON:-}" python3 python3.13 python3.12 python3.11; do
    if [[ -n $python ]] && is_usable "$python"; then
      say "Making a virtual environment in $VENV with $("$python" --version)."
      "$python" -m venv --clear "$VENV"
      return
    fi
  done
  fail "No Python 3.11, 3.12 or 3.13 with the modules venv and ensurepip was found." \
    "Install one (Debian: apt-get install python3-venv), or name it in GALAXY_PYTHON."
}

is_usable() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
    >/dev/null 2>&1
}

# use_index_of_pip: uv does not read pip's configuration, so pass it the index configured there.
use_index_of_pip() {
  local index
  index=${PIP_INDEX_URL:-$("$PYTHON" -m pip config get global.index-url 2>/dev/null || true)}
  if [[ -n $index && -z ${UV_DEFAULT_INDEX:-} ]]; then
    export UV_DEFAULT_INDEX=$index
  fi
}
