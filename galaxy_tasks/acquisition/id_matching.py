"""Hold the ids of a table against the names of images, and find out why none meets one."""

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute

from galaxy_tasks.acquisition.image_folder import ImageListing
from galaxy_tasks.acquisition.table_rows import iterate_rows, tidy_ids
from galaxy_tasks.acquisition.tables import Table
from galaxy_tasks.errors import InputError
from galaxy_tasks.formatting import shorten

_EXAMPLES, _SHOWN_CHARACTERS = 3, 60
_MOST_COMPARED, _MOST_COLUMNS, _MOST_NAMES = 1000, 100, 20
_logger = logging.getLogger(__name__)
_compute: Any = pyarrow.compute  # its stubs lack most functions


def find_images(listing: ImageListing, pattern: str) -> dict[str, str]:
    """Return the names of images by the id in them, as ids of tables are read."""
    found = listing.find_by_id(pattern)
    ids = tidy_ids(pa.array(found.keys(), pa.string())).to_pylist()
    images: dict[str, str] = {}
    repeated = []
    for galaxy_id, written, name in sorted(zip(ids, found, found.values(), strict=True)):
        if galaxy_id in images:
            repeated.append(f"{images[galaxy_id]} and {name}")
        if galaxy_id not in images or written == galaxy_id:
            images[galaxy_id] = name
    if repeated:
        _logger.warning(
            "Of images whose names give one id, the one named by the id alone is used, else the "
            "first: %s.",
            shorten(repeated),
        )
    return images


def require_meeting(
    table: Table, id_column: str, images: Mapping[str, str], *, is_mapping: bool = False
) -> None:
    """Raise InputError if no id is that of an image; says why, as far as that can be told.

    Args:
        table: the table; read no farther than to the first id that meets an image.
        id_column: what the table calls the ids.
        images: names of images by id.
        is_mapping: whether the table is a release's own that maps ids to images, of which no
            setting chooses a column.
    """
    wanted, ids = pa.array(images.keys(), pa.string()), []
    for batch in iterate_rows(table, {"id": id_column}, ids={"id"}):
        found = batch.column("id")
        if found.type != pa.string() or _compute.any(_compute.is_in(found, wanted)).as_py():
            return
        ids += found.drop_null()[: _MOST_COMPARED - len(ids)].to_pylist()
    if ids:
        reason = _explain_form(ids, images)
        if not reason and not is_mapping:
            reason = _find_other_column(table, id_column, wanted)
        raise InputError(
            f"No id in column {id_column!r} of {table.path} is the name of an image. "
            f"Ids: {_show(ids)}. Images: {_show(sorted(images.values()))}. "
            + (
                reason
                or "Are these the ids and the images of one release? Set 'id_column', "
                "'image_name_pattern' or 'images_folder'."
            )
        )


def _show(names: Sequence[str]) -> str:
    return ", ".join(repr(name[:_SHOWN_CHARACTERS]) for name in names[:_EXAMPLES])


def _explain_form(ids: Sequence[str], images: Mapping[str, str]) -> str:
    """Return why the same ids are written otherwise in the table and in the images' names."""
    if _are_mostly(ids, r"[+-]?\d+([.,]\d+)?[eE]\+?\d+"):
        return (
            "The ids have been through floating point, as a spreadsheet makes of long numbers, and "
            "lost their last digits. Take the published table again, and keep the ids as text."
        )
    if _are_mostly(ids, r"\d{13,16}000|\d{16,}000"):
        return (
            "The ids end in zeros, as if a spreadsheet had kept their first 15 digits. Take the "
            "published table again, and keep the ids as text."
        )
    forms = {
        "leading zeros, which a program that read the ids as numbers has dropped": (
            lambda each: each.lstrip("0")
        ),
        "upper and lower case": str.casefold,
        "punctuation": lambda each: re.sub(r"[\W_]", "", each),
    }
    for difference, form in forms.items():
        if {form(each) for each in images} & {form(each) for each in ids if form(each)}:
            return f"They differ in {difference}. Write the ids as the images are named."
    return _explain_pattern(ids, images.values())


def _are_mostly(ids: Sequence[str], form: str) -> bool:
    return 2 * sum(1 for each in ids if re.fullmatch(form, each)) > len(ids)


def _explain_pattern(ids: Sequence[str], names: Collection[str]) -> str:
    """Return which 'image_name_pattern' would lead from ids to names that hold more than an id."""
    known, ids = set(names), list(dict.fromkeys(ids))
    for each in [each for each in ids if len(each) > 1][:20]:
        # Running numbers are in most names, as parts of longer ones.
        for name in islice((name for name in names if each in name), _MOST_NAMES):
            before, _, after = name.partition(each)
            more = known.intersection(f"{before}{other}{after}" for other in ids)
            if 2 * len(more) > len(ids):  # else it is chance
                return (
                    "The images' names hold more than the id. Set 'image_name_pattern' to "
                    f"'{before}{{id}}{after}'."
                )
    return ""


def _find_other_column(table: Table, id_column: str, wanted: pa.Array) -> str:
    """Return which other column holds the names of images, as beside running numbers."""
    others = [c for c in dict.fromkeys(table.columns) if c and c != id_column][:_MOST_COLUMNS]
    try:
        batch = next(iterate_rows(table, {name: name for name in others}, ids=others))
    except InputError:  # a column of lists, say
        return ""
    for name in others:
        found = batch.column(name)
        if found.type == pa.string() and _compute.any(_compute.is_in(found, wanted)).as_py():
            return f"Column {name!r} has names of images: set 'id_column' to it."
    return ""
