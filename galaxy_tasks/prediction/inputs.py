"""What `predict` is given: images, folders, zips and tars of images, and tables that name them.

Every file and every row of a table comes back, as an image or with the reason why it is none.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

from galaxy_tasks.acquisition.archives import unpack_archives
from galaxy_tasks.acquisition.image_file_rules import IMAGE, OTHER, judge_path
from galaxy_tasks.acquisition.image_folder import LINK_TO_NOTHING, walk_files
from galaxy_tasks.acquisition.table_rows import IS_BROKEN, iterate_rows
from galaxy_tasks.acquisition.tables import (
    Table,
    is_fits,
    is_gzipped,
    is_table,
    read_table_header,
)
from galaxy_tasks.acquisition.tar_reader import TarEntry, is_tar, list_tar_entries
from galaxy_tasks.acquisition.zip_reader import ZipEntry, is_zip, list_entries
from galaxy_tasks.errors import InputError, show
from galaxy_tasks.formatting import shorten
from galaxy_tasks.prediction.listing import Row

_FITS_SUFFIXES = (".fits", ".fit", ".fits.fz")
_ID_COLUMNS = (
    *("id_str", "id", "galaxy_id", "galaxyid", "dr8_id", "iauname", "object_id", "objid"),
    *("dr7objid", "asset_id", "name"),
)
_PATH_COLUMNS = (
    *("file_loc", "path", "file_path", "filepath", "image_path", "filename", "file_name"),
    *("file", "image", "image_name"),
)
_RA_COLUMNS = ("ra", "ra_deg", "ra_degrees", "raj2000", "ra_j2000", "right_ascension")
_DEC_COLUMNS = ("dec", "dec_deg", "dec_degrees", "dej2000", "decj2000", "dec_j2000", "declination")
_Entry = ZipEntry | TarEntry | None
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableSettings:
    """How tables lead to images, where their columns do not say so; empty: by what is usual."""

    id_column: str = ""
    path_column: str = ""
    images: Path | None = None
    """Folder, zip or tar that a table's images are in."""
    image_name_pattern: str = ""
    """Path in it, with '{id}' for the id."""

    def __post_init__(self) -> None:
        """Raise InputError for a pattern without the id."""
        if self.image_name_pattern and self.image_name_pattern.count("{id}") != 1:
            raise InputError(
                "--image-name-pattern must hold '{id}' once, like '{id}.jpg'. "
                f"Received: {self.image_name_pattern!r}"
            )


@dataclass
class Inputs:
    """The images that are to be classified, and the folders and archives that they are in."""

    paths: Sequence[Path]
    settings: TableSettings
    work: Path
    """Folder that compressed tars are unpacked to."""
    sources: list[Path] = field(default_factory=list)
    """Folders and archives, by the number that a row has; complete once all rows are read."""

    def iterate_rows(self) -> Iterator[Row]:
        """Yield a row for each image, in the order of the inputs, of their paths or their rows.

        Raises:
            InputError: an input does not exist, is damaged or unsafe, or a table does not lead to
                images.
        """
        for path in self.paths:
            if path.is_dir() or is_zip(path) or is_tar(path):
                yield from self._list_collection(path)
            elif path.is_file() and _holds_table(path):
                yield from self._list_table(path)
            else:
                yield self._name_file(path)

    def _name_file(self, path: Path) -> Row:
        if path.is_symlink() and not path.exists():
            return Row(_to_id(path.name), _to_text(path), refused=LINK_TO_NOTHING)
        if not path.exists():
            raise InputError(f"No such file or folder: {path}")
        return Row(
            _to_id(path.name),
            _to_text(path),
            source=self._add_source(path.absolute().parent),
            name=path.name,
        )

    def _list_collection(self, path: Path) -> Iterator[Row]:
        root, entries = self._open_collection(path)
        kinds = dict(walk_files(root)) if entries is None else {p: judge_path(p) for p in entries}
        images = [name for name, kind in kinds.items() if _is_image(name, kind)]
        refused = {n: kind for n, kind in kinds.items() if kind not in (IMAGE, OTHER)}
        _log_listing(path, len(images), len(kinds) - len(images) - len(refused), refused)
        source = self._add_source(root)
        for name in sorted([*images, *refused]):
            entry = entries[name] if entries else None
            yield Row(
                _to_id(name),
                _to_text(f"{path}/{name}"),
                source=source,
                name=name,
                entry=entry,
                refused=refused.get(name, ""),
            )

    def _open_collection(self, path: Path) -> tuple[Path, Mapping[str, _Entry] | None]:
        """Return a folder, or an archive with its entries; a compressed tar becomes a folder."""
        if is_zip(path):
            return path, list_entries(path)
        if is_tar(path) and not is_gzipped(path):
            return path, list_tar_entries(path)
        if path.is_dir():
            return path, None
        folder = self.work / f"unpacked-{len(self.sources)}"
        unpack_archives([path], folder)
        return folder, None

    def _add_source(self, root: Path) -> int:
        root = root.absolute()
        if root not in self.sources:
            self.sources.append(root)
        return self.sources.index(root)

    def _list_table(self, path: Path) -> Iterator[Row]:
        table = read_table_header(path)
        columns = self._match_columns(table)
        has_paths = "path" in columns and not self.settings.image_name_pattern
        root = self.settings.images or path.absolute().parent
        finder = _Finder(self, root, self.settings, has_paths=has_paths)
        _logger.info(
            "%s: ids from column %s, images from %s",
            path,
            repr(columns.get("id", columns.get("path"))),
            f"column {columns['path']!r}" if has_paths else f"{root}, by id",
        )
        num_rows = num_misplaced = 0
        for batch in iterate_rows(table, columns, numbers={"ra", "dec"} & set(columns)):
            for record in batch.to_pylist():
                row = finder.find(record)
                num_rows += 1
                num_misplaced += row.ra is None and any(record.get(n) for n in ("ra", "dec"))
                yield row
        if num_misplaced:
            _logger.warning(
                "%s: %s of %s rows have no position in degrees; their ra and dec are left out.",
                *(path, f"{num_misplaced:,}", f"{num_rows:,}"),
            )

    def _match_columns(self, table: Table) -> dict[str, str]:
        own = self.settings
        wanted = {
            "id": (own.id_column,) if own.id_column else _ID_COLUMNS,
            "path": (own.path_column,) if own.path_column else _PATH_COLUMNS,
            "ra": _RA_COLUMNS,
            "dec": _DEC_COLUMNS,
        }
        found = {column: name for column, names in wanted.items() if (name := table.find(names))}
        for column in ("id", "path"):
            named = getattr(own, f"{column}_column")
            if named and column not in found:
                raise InputError(
                    f"{table.path} has no column {named!r}. Columns: "
                    f"{shorten(map(show, table.columns))}"
                )
        if found.get("id") in table.floating_columns:
            raise InputError(
                f"Column {found['id']!r} of {table.path} holds floating-point numbers, which "
                "cannot represent ids of 18 digits exactly. Store the ids as whole numbers or text."
            )
        if "path" not in found and ("id" not in found or own.images is None):
            raise InputError(
                f"{table.path} does not say where its images are: it has no column with paths "
                f"({', '.join(_PATH_COLUMNS)}). Name one with --path-column, or the folder, zip or "
                "tar of the images with --images, where the column --id-column leads to them. "
                f"Columns: {shorten(map(show, table.columns))}"
            )
        return found


class _Finder:
    """Finds the image of a table's row."""

    def __init__(
        self, inputs: Inputs, root: Path, settings: TableSettings, *, has_paths: bool
    ) -> None:
        if not root.exists():
            raise InputError(f"--images must be a folder, a zip or a tar. Received: {root}")
        self._root, self._entries = inputs._open_collection(root)
        self._source = inputs._add_source(self._root)
        self._pattern = settings.image_name_pattern
        self._has_paths = has_paths
        self._by_name: dict[str, str] | None = None
        if self._entries is not None or not (has_paths or self._pattern):
            self._by_name = self._index(is_by_id=not (has_paths or self._pattern))

    def find(self, record: Mapping[str, object]) -> Row:
        """Return the row of the result for a row of the table."""
        path = str(record.get("path") or "") if self._has_paths else ""
        galaxy_id = str(record["id"] or "") if "id" in record else _to_id(path)
        ra, dec = _read_position(record)
        if record[IS_BROKEN]:
            reason = "the row has more or fewer cells than the table's header"
            return Row(galaxy_id, path, ra, dec, refused=reason)
        if not (path or galaxy_id):
            return Row("", "", ra, dec, refused="the row has neither id nor path")
        wanted = path or self._pattern.replace("{id}", galaxy_id) or galaxy_id
        if not wanted or (self._has_paths and not path):
            return Row(galaxy_id, "", ra, dec, refused="the row has no path")
        name = self._locate(wanted)
        shown = _to_text(self._root / (name or wanted))
        if name is None:
            where = f"no such image in {self._root}"
            return Row(galaxy_id, shown, ra, dec, refused=f"missing: {where}")
        entry = self._entries[name] if self._entries is not None else None
        return Row(galaxy_id, shown, ra, dec, self._source, name, entry)

    def _locate(self, wanted: str) -> str | None:
        """Return where below the root an image is; None where a listing does not have it."""
        if self._by_name is None:
            return wanted
        key = normalize("NFC", wanted.removeprefix("./"))
        return self._by_name.get(key) or self._by_name.get(key.rpartition("/")[2])

    def _index(self, *, is_by_id: bool) -> dict[str, str]:
        """Return the paths of images by path and by name, or by the id that names them."""
        if self._entries is None:
            files = ((path, kind) for path, kind in walk_files(self._root))
        else:
            files = ((path, judge_path(path)) for path in self._entries)
        paths = sorted(path for path, kind in files if _is_image(path, kind))
        by_name: dict[str, str] = {}
        for path in paths:
            by_name.setdefault(_to_id(path) if is_by_id else _to_name(path), path)
        return by_name if is_by_id else {**by_name, **{normalize("NFC", p): p for p in paths}}


def _holds_table(path: Path) -> bool:
    """Return whether a file is a table; a FITS file may be an image."""
    if not is_table(path):
        return False
    if not is_fits(path):
        return True
    try:
        read_table_header(path)
    except InputError:
        return False
    return True


def _is_image(path: str, kind: str) -> bool:
    return kind == IMAGE or (kind == OTHER and _is_fits_image(path))


def _is_fits_image(path: str) -> bool:
    # Of what lies beside images, a table is no FITS file by itself: that is named as an input.
    hidden = any(part.startswith(".") for part in path.split("/"))
    return path.lower().endswith(_FITS_SUFFIXES) and not hidden


def _to_name(path: str) -> str:
    return normalize("NFC", path.rpartition("/")[2])


def _to_id(path: str) -> str:
    """Return the name without folders and suffix, in Unicode's form NFC, as tables have ids."""
    return _to_text(normalize("NFC", Path(path).stem.removesuffix(".fits")))


def _to_text(path: Path | str) -> str:
    """Return a name that may have any bytes as text."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _read_position(record: Mapping[str, object]) -> tuple[float | None, float | None]:
    """Return right ascension and declination in degrees, or None for both."""
    try:
        ra, dec = (float(str(record[name])) for name in ("ra", "dec"))
    except (KeyError, ValueError):
        return None, None
    is_place = 0 <= ra <= 360 and -90 <= dec <= 90
    return (ra, dec) if is_place else (None, None)


def _log_listing(path: Path, num_images: int, num_ignored: int, refused: Mapping[str, str]) -> None:
    each = (f"{show(name)}: {reason}" for name, reason in sorted(refused.items()))
    more = f", {len(refused):,} refused ({shorten(each)})" if refused else ""
    _logger.log(
        logging.WARNING if refused else logging.INFO,
        "%s",
        f"{path}: {num_images:,} images, {num_ignored:,} ignored{more}",
    )


def find_image(path: Path, galaxy_id: str) -> tuple[Row, list[Path]]:
    """Return an image by its path as a catalogue has it, also inside an archive, and its source.

    What is gone is found out when it is read.
    """
    archive = next((p for p in path.parents if is_zip(p) or is_tar(p)), None)
    if archive is None:
        return Row(galaxy_id, str(path), name=path.name), [path.absolute().parent]
    name = str(path.relative_to(archive))
    if is_tar(archive) and is_gzipped(archive):
        return Row(galaxy_id, str(path), refused="it is in a compressed tar"), [archive]
    entries = list_entries(archive) if is_zip(archive) else list_tar_entries(archive)
    return Row(galaxy_id, str(path), name=name, entry=entries.get(name)), [archive]
