"""Which files are images, by their names: one rule for folders, zips and other archives."""

from pathlib import PurePosixPath
from unicodedata import normalize

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")

IMAGE = "image"
OTHER = "other"
"""Known to be no image: hidden, a table, a text, an archive, a result."""
UNKNOWN = f"its name ends in none of {', '.join(IMAGE_SUFFIXES)}"
"""Neither: why such a file is refused."""

_FILE_MANAGER_NAMES = frozenset(
    ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "$recycle.bin")
)
"""What file managers leave beside images, in lower case; most of it begins with a dot."""
_OTHER_SUFFIXES = frozenset(
    (
        *(".csv", ".tsv", ".parquet", ".fits", ".fit", ".fz", ".vot", ".votable"),
        *(".xls", ".xlsx", ".ods"),
        *(".txt", ".md", ".rst", ".html", ".htm", ".pdf", ".tex", ".bib", ".cff", ".log"),
        *(".json", ".jsonl", ".yaml", ".yml", ".toml", ".xml", ".ini", ".cfg"),
        *(".md5", ".sha1", ".sha256", ".sha512", ".crc"),
        *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".part"),
        *(".py", ".ipynb", ".sh", ".r", ".db", ".sqlite", ".npy", ".npz", ".h5", ".hdf5", ".keras"),
    )
)
_OTHER_NAMES = frozenset(
    (
        *("readme", "license", "licence", "copying", "notice", "authors", "citation", "changelog"),
        *("md5sums", "sha1sums", "sha256sums", "sha512sums", "checksums", "manifest"),
    )
)
"""Files that often have no suffix, in lower case."""


def unify_name(name: str) -> str:
    """Return what names share that are one file on a disk that tells neither case nor form.

    Macs have such disks, and so has Windows.
    """
    return normalize("NFC", normalize("NFC", name).casefold())


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, or one that file managers make for themselves."""
    return name.startswith(".") or name.lower() in _FILE_MANAGER_NAMES


def judge_name(name: str) -> str:
    """Return IMAGE, OTHER or UNKNOWN for a file, by its name without folders."""
    lower = name.lower()
    if lower.endswith(IMAGE_SUFFIXES) and not lower.startswith("."):
        return IMAGE
    is_other = is_hidden(name) or PurePosixPath(lower).suffix in _OTHER_SUFFIXES
    return OTHER if is_other or lower in _OTHER_NAMES else UNKNOWN


def judge_path(path: str) -> str:
    """Return the same for a file in an archive, where all of a hidden folder is hidden."""
    *folders, name = path.split("/")
    return OTHER if any(map(is_hidden, folders)) else judge_name(name)
