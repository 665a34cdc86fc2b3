"""A NumPy file with a slot for every image, and how the slots of refused images leave it."""

import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.errors import ResourceError
from galaxy_tasks.images.workers import ChunkOutcome
from galaxy_tasks.storage.atomic_io import read_json, write_json

HEADER_BYTES = 128
_BLOCK_BYTES = 1 << 25


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
            ResourceError: the disk has not that much room.
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
                    f"No room for {num_bytes / 1e9:.1f} GB of prepared images in "
                    f"{self.path.parent}: {error.strerror}. Free some space, or let GALAXY_HOME "
                    "name a folder on a larger disk."
                ) from None

    def flush(self) -> None:
        """Return when everything written, by whichever process, is on disk."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())

    def exists(self) -> bool:
        """Return whether there are slots to fill or to move."""
        return self.path.exists() or self._partial.exists()

    def move_kept(self, is_kept: NDArray[np.bool_], target: Path) -> None:
        """Turn this file into `target`, which has the kept slots only, in the same order.

        A call that is interrupted is simply repeated.
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

        The space of what is moved is given back at once, so that both files together hardly need
        more room than one; and the length of this file says how far an earlier call came.
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


# What survives an interruption: which chunks are finished, and for which plan that holds.


_PLAN = "plan.json"


class Journal:
    """A folder with small files about finished chunks, valid for one plan.

    `plan` identifies everything that determines the pixels and their order. Records of another
    plan are thrown away with everything else in the folder.
    """

    def __init__(self, folder: Path, plan: str) -> None:
        """Open the journal, or begin it."""
        self.folder = folder
        self.plan = plan
        path = folder / _PLAN
        if not path.is_file() or read_json(path) != plan:
            self.clear()

    def clear(self) -> None:
        """Begin anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        write_json(self.folder / _PLAN, self.plan)

    def record(self, outcomes: Sequence[ChunkOutcome]) -> None:
        """Remember chunks whose pixels are on disk."""
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
        """Have the chunks with a refused image done again: somebody may mend the files."""
        kept = [outcome for outcome in self.finished().values() if not any(outcome.reason)]
        for path in self.folder.glob("chunks-*.json"):
            path.unlink()
        if kept:
            self.record(kept)
