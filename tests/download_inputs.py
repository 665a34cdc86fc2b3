"""What the tests of downloads fetch, and how: here, or in a process of its own."""

import hashlib
import random
import subprocess
import sys
import time

from galaxy_tasks.downloads import (
    DownloadSettings,
    RemoteFile,
    fetch_file,
)

CONTENT = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
MD5, SHA256 = hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()
FAST = DownloadSettings(
    timeout_s=1.0, shortest_pause_s=0.01, longest_pause_s=2.0, tries=4, reserve_bytes=0
)


def fetch(address, folder, *, settings=FAST, **known):
    addresses = (address,) if isinstance(address, str) else address
    return fetch_file(
        RemoteFile("galaxies.zip", addresses, **known), folder=folder, settings=settings
    )


def visible_files(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


DOWNLOAD = """
import sys
from pathlib import Path
from galaxy_tasks.downloads import DownloadSettings, RemoteFile, fetch_file
address, folder, md5 = sys.argv[1:]
fetched = fetch_file(
    RemoteFile("galaxies.zip", (address,), md5=md5 or None),
    folder=Path(folder), settings=DownloadSettings(reserve_bytes=0),
)
print(fetched.origin)
"""


def start_download(address, folder, md5=""):
    return subprocess.Popen(
        [sys.executable, "-c", DOWNLOAD, address, str(folder), md5],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(condition, *, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def size_of(path):
    return path.stat().st_size if path.exists() else 0
