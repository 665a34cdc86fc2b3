"""What the machine and the user's shell bring along: a locale, a processor, and GPUs."""

import locale
import os
import platform
import subprocess
import sys
from pathlib import Path

UTF_8 = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
"""A locale that is there without being installed."""


def pin_surroundings() -> None:
    """Have this process, and all that it starts, read and write UTF-8, whatever the shell's locale.

    Java and Python would take file names apart by the shell's encoding. A process that was started
    in another encoding than UTF-8 is replaced by one that was not.
    """
    os.environ |= {"LC_ALL": UTF_8, "PYTHONUTF8": "1"}
    if not sys.flags.utf8_mode and locale.getencoding().lower() != "utf-8":
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def count_gpus(devices: Path = Path("/dev")) -> int:
    """Return how many NVIDIA GPUs this machine has; in WSL2 only its `nvidia-smi` knows them."""
    files = len(list(devices.glob("nvidia[0-9]*")))
    if files or not (devices / "dxg").exists():
        return files
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/lib/wsl/lib"
    try:
        told = subprocess.run(
            ["nvidia-smi", "--list-gpus"],
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in told.stdout.splitlines())


def name_processor() -> str:
    """Return the name of this machine's processor."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
