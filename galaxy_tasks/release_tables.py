"""The tables of a release in a form that Spark can read."""

from dataclasses import replace
from pathlib import Path

from galaxy_tasks import artifacts
from galaxy_tasks.fits_headers import is_fits
from galaxy_tasks.fits_tables import convert_fits
from galaxy_tasks.lineage import ReleaseFiles

TABLES_FORMAT = 1
"""Changes when the same FITS file is converted to another table."""


def convert_tables(files: ReleaseFiles) -> ReleaseFiles:
    """Return the release with Parquet in place of FITS; what is converted already is taken.

    The content stays that of the files as published, so nothing else is made again.

    Raises:
        InputError: a FITS file is damaged, or its text is not UTF-8.
    """
    paths = {"catalogue": Path(files.catalogue), "mapping": Path(files.mapping)}
    fits = {name: path for name, path in paths.items() if is_fits(path)}
    if not fits:
        return files
    made_from = {"format": TABLES_FORMAT, "content": files.content, "tables": sorted(fits)}
    with artifacts.open_draft("releases", made_from) as draft:
        artifact = draft.published
        if artifact is None:
            draft.clear()
            rows = {
                name: convert_fits(path, draft.path / f"{name}.parquet")
                for name, path in fits.items()
            }
            artifact = draft.publish({"rows": rows, "converted": {n: str(fits[n]) for n in fits}})
    return replace(files, **{name: str(artifact.path / f"{name}.parquet") for name in fits})
