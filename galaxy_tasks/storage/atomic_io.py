"""Files that a crash leaves whole: written under another name, flushed, renamed into place."""

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any


def write_durably(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Let `write` fill a file, so that a reader, or a crash, never sees half of it."""
    # Of several machines that write one file, two may have a process of this number.
    temporary = path.with_name(f".{path.name}.{platform.node()}-{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, durably."""
    text = json.dumps(value, indent=1, default=str) + "\n"
    write_durably(path, lambda file: file.write(text.encode()))


def read_json(path: Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(path.read_text())


def flush(path: Path) -> None:
    """Make the system write a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """Make the system write a folder, and all below it, to the disk."""
    for path in folder.rglob("*"):
        flush(path)
    flush(folder)
