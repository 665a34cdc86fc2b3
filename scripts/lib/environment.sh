# Makes a Python environment for this project, in VENV. Sourced by the scripts.
# shellcheck shell=bash

source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

VENV=$PROJECT/.venv
PYTHON=$VENV/bin/python

# make_environment NAME: makes the virtual environment of requirements/NAME.lock, unless it is up to
# date already.
make_environment() {
  local lock=requirements/$1.lock stamp=$VENV/.installed-$1
  local wanted
  wanted=$(stamp_of "$1")
  if [[ -f $stamp && $(<"$stamp") == "$wanted" ]] && is_made_here; then
    return
  fi
  make_venv
  say "Installing what $lock lists into $VENV. The first time, this downloads about 1 GB."
  # As 'user = true' in pip's configuration is refused in a virtual environment.
  PIP_USER=0 "$PYTHON" -m pip install --quiet --disable-pip-version-check --require-hashes \
    --requirement "$PROJECT/requirements/installer.lock"
  run_uv --require-hashes --requirement "$lock"
  [[ $1 == mlflow ]] || install_project
  printf '%s' "$wanted" >"$stamp"
  if [[ $1 == dev ]]; then # dev.lock contains cpu.lock
    stamp_of cpu >"$VENV/.installed-cpu"
  fi
}

install_project() {
  run_uv --no-deps --no-build-isolation --editable .
  # Python reads this file in the shell's encoding, which may lack a letter of the folder's path.
  printf '../../../..\n' | tee "$VENV"/lib/python3.*/site-packages/_editable_impl_galaxy_morphology.pth \
    >/dev/null
}

# stamp_of NAME: prints a checksum of the lock and the project's metadata.
stamp_of() {
  cat "$PROJECT"/requirements/{"$1",installer}.lock "$PROJECT/pyproject.toml" | cksum
}

# run_uv ARGUMENT…: runs `uv pip install` with pip's index, certificates and proxy; in the project, as uv
# obeys a uv.toml or pyproject.toml of the working folder.
run_uv() {
  (
    cd "$PROJECT"
    unset UV_SYSTEM_PYTHON
    eval "$("$PYTHON" "$PROJECT/scripts/lib/uv_settings.py")"
    "$VENV/bin/uv" pip install --quiet --python "$PYTHON" "$@"
  )
}

# make_venv: makes an empty virtual environment with pip, unless there is one. An environment without
# pip was left by an interrupted start, and one that came here with its folder still runs the code
# where it was made: both are replaced.
make_venv() {
  local python
  if is_made_here && "$PYTHON" -m pip --version >/dev/null 2>&1; then
    return
  fi
  for python in "${GALAXY_PYTHON:-}" python3 python3.13 python3.12 python3.11; do
    if [[ -n $python ]] && is_usable "$python"; then
      say "Making a virtual environment in $VENV with $("$python" --version)."
      "$python" -m venv --clear "$VENV"
      return
    fi
  done
  fail "No Python 3.11, 3.12 or 3.13 with the modules venv and ensurepip was found. Install one" \
    "(Debian: apt-get install python3-venv; Fedora: dnf install python3.12; macOS: brew install" \
    "python@3.12), or name it in GALAXY_PYTHON."
}

# is_made_here: succeeds if the virtual environment was made where it is now.
is_made_here() {
  [[ -x $PYTHON && -f $VENV/bin/activate ]] &&
    (
      source "$VENV/bin/activate"
      [[ $VIRTUAL_ENV -ef $VENV ]]
    )
}

is_usable() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
    >/dev/null 2>&1
}

# has_gpu: succeeds if this machine has an NVIDIA GPU. WSL2 has no device files for it.
has_gpu() {
  [[ -e /dev/nvidiactl ]] ||
    { [[ -e /dev/dxg ]] &&
      PATH=$PATH:/usr/lib/wsl/lib nvidia-smi --list-gpus 2>/dev/null | grep -q '^GPU'; }
}
