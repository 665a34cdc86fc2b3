"""What lets an interrupted preparation continue: a slot for every image, a journal of chunks."""

import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.errors import ResourceError
from galaxy_tasks.formatting import format_bytes
from galaxy_tasks.images.workers import ChunkOutcome
from galaxy_tasks.storage.atomic_io import read_json, write_json

HEADER_BYTES = 128
_BLOCK_BYTES = 1 << 25
_PLAN = "plan.json"


class SlotFile:
    """A .npy file of uint8 images (count, size, size, 3) that is filled slot by slot."""

    def __init__(self, path: Path, *, count: int, size_px: int) -> None:
        """Describe the file; nothing is written before `reserve`."""
        self.path = path
        self.count = count
        self.size_px = size_px
        self.slot_bytes = size_px * size_px * 3

    def reserve(self) -> None:
        """Write the header and take the disk space of all slots; filled ones keep their content.

        Raises:
            ResourceError: the disk does not have that much space.
        """
        num_bytes = HEADER_BYTES + self.count * self.slot_bytes
        with _open_or_create(self.path) as file:
            file.write(_header(self.count, self.size_px))
            try:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, num_bytes)
                else:
                    file.truncate(num_bytes)
            except OSError as error:
                raise ResourceError(
                    f"No space for {format_bytes(num_bytes)} of prepared images in "
                    f"{self.path.parent}: {error.strerror}. Free some space, or set GALAXY_HOME to "
                    "a folder on a larger disk."
                ) from None

    def flush(self) -> None:
        """Return when everything written, by whichever process, is on disk."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())

    def exists(self) -> bool:
        """Return whether there is a file whose slots are to be filled or moved."""
        return self.path.exists() or self._partial.exists()

    def move_kept(self, is_kept: NDArray[np.bool_], target: Path) -> None:
        """Turn this file into `target`, with only the kept slots, in the same order.

        After an interruption, the same call continues.
        """
        if self.path.exists():
            if is_kept.all():
                self.path.replace(target)
                return
            self._copy_kept(is_kept)
            self.path.unlink()
        self._partial.replace(target)

    @property
    def _partial(self) -> Path:
        return self.path.with_name("kept.npy")

    def _copy_kept(self, is_kept: NDArray[np.bool_]) -> None:
        """Move the kept slots to the partial file, from the end.

        What is moved is cut off this file at once, so that both files together need hardly more
        space than one, and this file's length says how far an earlier call got.
        """
        kept_before = np.concatenate([[0], np.cumsum(is_kept)])
        block_slots = max(1, _BLOCK_BYTES // self.slot_bytes)
        with self.path.open("r+b") as source, _open_or_create(self._partial) as sink:
            left = (self.path.stat().st_size - HEADER_BYTES) // self.slot_bytes
            while left > 0:
                start = max(0, left - block_slots)
                source.seek(HEADER_BYTES + start * self.slot_bytes)
                block = np.frombuffer(source.read((left - start) * self.slot_bytes), np.uint8)
                kept = block.reshape(left - start, self.slot_bytes)[is_kept[start:left]]
                sink.seek(HEADER_BYTES + int(kept_before[start]) * self.slot_bytes)
                sink.write(kept.tobytes())
                _flush(sink)
                source.truncate(HEADER_BYTES + start * self.slot_bytes)
                left = start
            sink.seek(0)
            sink.write(_header(int(kept_before[-1]), self.size_px))
            _flush(sink)


def _open_or_create(path: Path):
    path.touch()
    return path.open("r+b")


def _flush(file) -> None:
    file.flush()
    os.fsync(file.fileno())


def _header(count: int, size_px: int) -> bytes:
    """Return the .npy header, whose length does not depend on the count."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (count, size_px, size_px, 3)}
    )
    assert len(header.getvalue()) == HEADER_BYTES
    return header.getvalue()


class Journal:
    """A folder with small files about finished chunks, valid for one plan.

    The plan identifies everything that determines the pixels and their order. If the folder's
    is another, everything in it is removed.
    """

    def __init__(self, folder: Path, plan: str) -> None:
        """Open the journal, or start it."""
        self.folder = folder
        path = folder / _PLAN
        if not path.is_file() or read_json(path) != plan:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_json(path, plan)

    def record(self, outcomes: Sequence[ChunkOutcome]) -> None:
        """Record chunks whose pixels are on disk."""
        path = self.folder / f"chunks-{min(outcome.number for outcome in outcomes):07d}.json"
        write_json(path, [asdict(outcome) for outcome in outcomes])

    def finished(self) -> dict[int, ChunkOutcome]:
        """Return the outcomes of the chunks that are done, by number."""
        return {
            outcome["number"]: ChunkOutcome(**outcome)
            for path in self.folder.glob("chunks-*.json")
            for outcome in read_json(path)
        }

    def forget_rejections(self) -> None:
        """Let the chunks with refused images be prepared again: their files may be repaired."""
        kept = [outcome for outcome in self.finished().values() if not any(outcome.reason)]
        for path in self.folder.glob("chunks-*.json"):
            path.unlink()
        if kept:
            self.record(kept)
