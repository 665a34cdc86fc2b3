"""Where a run keeps its files, and how a step publishes them so that readers see all or nothing.

An artifact is a folder `<home>/<kind>/<key>` whose `manifest.json` lists every file with size and
SHA-256, what the artifact was made from, and by which version of the code. Its key is a hash of
what determines it, so a step whose artifact exists returns it at once, and clearing, retrying or
running twice is safe.

A step writes into a draft, a hidden folder beside the artifact's place, under an exclusive lock
that the operating system frees when the process dies. A draft outlives its process: what a killed
attempt finished is there for the next one. Publishing writes the manifest, flushes everything to
disk and renames the draft into place.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from galaxy_tasks import __version__
from galaxy_tasks.errors import InputError
from galaxy_tasks.storage.atomic_io import flush, flush_tree, read_json
from galaxy_tasks.storage.locks import hold_lock

Kind = Literal[
    "releases",
    "holdouts",
    "labels",
    "images",
    "models",
    "fold_models",
    "baselines",
    "predictions",
    "evaluations",
    "ablations",
    "exports",
]

MANIFEST = "manifest.json"
DRAFT_PREFIX = ".draft-"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Artifact:
    """A published folder: small enough to travel through an XCom as `as_reference()`."""

    kind: Kind
    key: str
    path: Path

    def as_reference(self) -> dict[str, str]:
        """Return the JSON form, which `from_reference` reads."""
        return {**asdict(self), "path": str(self.path)}

    @staticmethod
    def from_reference(reference: Mapping[str, str]) -> "Artifact":
        """Return the artifact of a reference; raise InputError if it is not there any more."""
        artifact = Artifact(reference["kind"], reference["key"], Path(reference["path"]))  # pyright: ignore[reportArgumentType]
        if not (artifact.path / MANIFEST).is_file():
            raise InputError(
                f"{artifact.path} is not a published artifact (no {MANIFEST}). "
                "Clear the task that makes it and run again."
            )
        _mark_used(artifact.path)
        return artifact

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest: keys kind, key, version, packages, published, made_from, summary, files."""
        return read_json(self.path / MANIFEST)


def home() -> Path:
    """Return the folder of all artifacts: GALAXY_HOME, else `runs` in the working folder."""
    return Path(os.environ.get("GALAXY_HOME") or "runs").absolute()


def checksums() -> Path:
    """Return the folder with the checksums of images that were read before."""
    return home() / "checksums"


def key_of(made_from: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits of the canonical JSON's hash: sorted names, no blanks."""
    text = json.dumps(made_from, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lock_path(folder: Path, key: str) -> Path:
    """Return the lock of whoever writes or removes the artifact `key` in the folder of its kind."""
    return folder / f".lock-{key}"


def _mark_used(path: Path) -> None:
    """Let the time of its lock say when an artifact was last used; pruning goes by it.

    Whoever opens its draft writes there anyway.
    """
    with contextlib.suppress(OSError):  # somebody else's, or on a disk that is read only
        lock_path(path.parent, path.name).touch()


def find(kind: Kind, made_from: Mapping[str, Any]) -> Artifact | None:
    """Return the published artifact made from this, or None."""
    key = key_of(made_from)
    path = home() / kind / key
    return Artifact(kind, key, path) if (path / MANIFEST).is_file() else None


def list_published(kind: Kind) -> list[Artifact]:
    """Return all published artifacts of a kind, in no order."""
    manifests = (home() / kind).glob(f"[!.]*/{MANIFEST}")
    return [Artifact(kind, path.parent.name, path.parent) for path in manifests]


def get(kind: Kind, key: str, *, place: Path | None = None) -> Artifact:
    """Return the published artifact of this key; raise InputError if it is not there.

    `place` is the folder of all artifacts that it is in, if not `home()`.
    """
    path = (place or home()) / kind / key
    return Artifact.from_reference({"kind": kind, "key": key, "path": str(path)})


def verify(artifact: Artifact) -> None:
    """Compare every file with the manifest; raise InputError naming the first that differs."""
    remedy = f"Remove the folder {artifact.path} and clear the task that makes it."
    for name, expected in artifact.manifest["files"].items():
        path = artifact.path / name
        if not path.is_file():
            raise InputError(f"{path} is listed in {MANIFEST} but missing. {remedy}")
        received = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        if received != expected:
            raise InputError(
                f"{path} was changed. Expected: {expected}. Received: {received}. {remedy}"
            )


class Draft:
    """A folder under exclusive lock that becomes an artifact with `publish`.

    `path` may hold what an earlier, killed attempt left; a step that cannot go on from that calls
    `clear`. `published` is the artifact if somebody else has published it meanwhile.
    """

    def __init__(self, kind: Kind, made_from: Mapping[str, Any]) -> None:
        """Name the draft; `open_draft` creates and locks it."""
        self.kind: Kind = kind
        self.key = key_of(made_from)
        self.made_from = dict(made_from)
        self.path = home() / kind / f"{DRAFT_PREFIX}{self.key}"

    @property
    def published(self) -> Artifact | None:
        """The artifact, once it is there."""
        return find(self.kind, self.made_from)

    def clear(self) -> None:
        """Empty the draft."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)

    def publish(
        self, summary: Mapping[str, Any] | None = None, *, discard: Iterable[str] = ()
    ) -> Artifact:
        """Make the draft the artifact: write the manifest with `summary`, flush, rename.

        Files that match a pattern of `discard` only serve to resume a draft. They are no part of
        the artifact, and removed last, so that nothing is lost until it is published.
        """
        target = home() / self.kind / self.key
        discarded = {path for pattern in discard for path in self.path.glob(pattern)}
        manifest = {
            "kind": self.kind,
            "key": self.key,
            "version": code_version(),
            "packages": _list_packages(),
            "published": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "made_from": self.made_from,
            "summary": dict(summary or {}),
            "files": self._measure_files(left_out=discarded),
        }
        (self.path / MANIFEST).write_text(json.dumps(manifest, indent=1, default=str) + "\n")
        flush_tree(self.path)
        if target.exists():  # a folder without a manifest: part of an artifact was deleted by hand
            shutil.rmtree(target)
        self.path.rename(target)
        flush(target.parent)
        for path in discarded:
            (target / path.relative_to(self.path)).unlink()
        _logger.info("Published %s", target)
        return Artifact(self.kind, self.key, target)

    def _measure_files(self, *, left_out: set[Path]) -> dict[str, dict[str, Any]]:
        return {
            str(path.relative_to(self.path)): {
                "bytes": path.stat().st_size,
                "sha256": sha256_of(path),
            }
            for path in sorted(self.path.rglob("*"))
            if path.is_file() and path not in {*left_out, self.path / MANIFEST}
        }


@contextlib.contextmanager
def open_draft(
    kind: Kind, made_from: Mapping[str, Any], *, timeout_s: float = 6 * 3600
) -> Iterator[Draft]:
    """Yield the locked draft of an artifact; its `published` is set where there is nothing to do.

    Waits for another process that writes the same artifact.

    Raises:
        ResourceError: another process held the draft for `timeout_s` seconds.
    """
    draft = Draft(kind, made_from)
    with hold_lock(lock_path(draft.path.parent, draft.key), timeout_s=timeout_s):
        if published := draft.published:
            _logger.info("Already there, nothing to do: %s", published.path)
        else:
            draft.path.mkdir(exist_ok=True)
        yield draft


def _list_packages() -> dict[str, str]:
    """Return the versions of the packages that results depend on most, of those installed."""
    names = ("keras", "tensorflow", "jax", "numpy", "pyspark", "opencv-python-headless")
    found = {}
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def code_version() -> str:
    """Return the package's version, with the commit: GALAXY_COMMIT, else the git checkout's."""
    if named := os.environ.get("GALAXY_COMMIT"):
        return f"{__version__}+{named}"
    folder = Path(__file__).parent
    described = shutil.which("git") and subprocess.run(
        ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    commit = described.stdout.strip() if described and described.returncode == 0 else ""
    return f"{__version__}+{commit}" if commit else __version__
