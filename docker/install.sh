#!/bin/sh
# Installs a lock file into the image's virtual environment, while an image is built.
# Usage: install.sh LOCK
set -eu

if [ ! -x "$VIRTUAL_ENV/bin/pip" ]; then
  python3 -m venv "$VIRTUAL_ENV"
  PIP_USER=0 "$VIRTUAL_ENV/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
    --require-hashes --requirement /opt/galaxy/requirements/installer.lock
fi
# uv reads no configuration of pip's by itself.
eval "$("$VIRTUAL_ENV/bin/python" /opt/galaxy/uv_settings.py)"
# The cache is a mount of the build: a lock that changes costs only what changed, and the images share
# their downloads.
"$VIRTUAL_ENV/bin/uv" pip install --quiet --link-mode copy --compile-bytecode --require-hashes \
  --requirement "$1"
rm -f /tmp/uv-*.lock
