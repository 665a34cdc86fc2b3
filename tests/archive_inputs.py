"""Archives of every kind for the tests, and what they are unpacked to."""

import io
import random
import tarfile
import zipfile

from galaxy_tasks.downloads import DownloadSettings, unpack_archive

FILES = {
    "images/1.jpg": random.Random(1).randbytes(20_000),
    "images/2.jpg": random.Random(2).randbytes(700_000),
    "images/deep/er/3.jpg": b"",
    "table.csv": b"id,class\n" * 1000,
}
TOTAL_BYTES = sum(map(len, FILES.values()))
LIMITS = {"max_total_bytes": 10_000_000, "max_ratio": 100}
FAST = DownloadSettings(reserve_bytes=0)


def make_zip(path, files, method=zipfile.ZIP_DEFLATED):
    """`files`: name → content, or pairs of a ZipInfo and content."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.mkdir("images")
        for name, content in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, content)
    return path


def make_tar(path, files):
    """`files`: name → content, or pairs of a TarInfo and content."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in files.items() if isinstance(files, dict) else files:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return path


def unpack(archive, folder, **changed):
    return unpack_archive(archive, folder, **{**LIMITS, "settings": FAST, **changed})


def content_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
