"""Euclid's files in small: the table of a version, and its cutouts in an archive."""

import io
import zipfile

import pandas as pd
from release_inputs import HEADERS

from galaxy_tasks.releases import RELEASES

EUCLID = RELEASES["galaxy_zoo_euclid"]


def make_table(*, galaxies=2):
    table = io.BytesIO()
    columns = {column: [0.5] * galaxies for column in HEADERS[EUCLID.name]}
    ids = {"tile_index": [1] * galaxies, "object_id": range(7, 7 + galaxies)}
    pd.DataFrame({**columns, **ids}).to_parquet(table)
    return table.getvalue()


def make_archive(content=b"seven"):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        # Of one time, so that the same content makes the same archive.
        opened.writestr(zipfile.ZipInfo("1_7.jpg"), content)
    return archive.getvalue()
