"""Prints pip's index, certificates and proxy as shell commands that set uv's variables.

uv reads none of pip's configuration. pip itself is asked, which knows all the places where it may
stand: variables, /etc/pip.conf, the user's and the environment's file. What the user has set for uv
stays.
"""

import os
import shlex
import sys
from pathlib import Path

from pip._internal.commands import create_command
from pip._internal.models.index import PyPI

# uv's own certificates know no private authority.
_SYSTEM_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def read_settings() -> dict[str, str]:
    """Return uv's variables that say what pip's configuration says."""
    pip = create_command("install").parser.get_default_values()
    extra, links = pip.extra_index_urls or [], pip.find_links or []
    found = {
        "UV_DEFAULT_INDEX": "" if pip.index_url == PyPI.simple_url else pip.index_url,
        "UV_INDEX": " ".join(extra),
        # Any index may have a package; the lock's hashes say which file is the right one.
        "UV_INDEX_STRATEGY": "unsafe-best-match" if extra else "",
        "UV_FIND_LINKS": ",".join(links),
        "UV_NO_INDEX": "1" if pip.no_index else "",
        "UV_INSECURE_HOST": " ".join(pip.trusted_hosts or []),
        "SSL_CERT_FILE": pip.cert,
        "SSL_CLIENT_CERT": pip.client_cert,
        "UV_SYSTEM_CERTS": "1" if any(Path(p).exists() for p in _SYSTEM_CERTIFICATES) else "",
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), pip.proxy),
    }
    return {name: value for name, value in found.items() if value and not _is_set(name)}


def _is_set(name: str) -> bool:
    lower = os.environ.get(name.lower()) if name.endswith("_PROXY") else None
    return bool(os.environ.get(name) or lower)


if __name__ == "__main__":
    try:
        settings = read_settings()
    except Exception as error:
        print(f"pip's configuration could not be read ({error}); trying without.", file=sys.stderr)
        settings = {}
    for variable, value in settings.items():
        print(f"export {variable}={shlex.quote(value)}")
