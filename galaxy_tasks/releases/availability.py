"""Whether a release can be had by its name alone, or needs a folder that the user has."""

import re

from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.schema import PublishedFile, Release


def find_zenodo_record(file: PublishedFile) -> str | None:
    """Return the number of the Zenodo record that a file is in, None if it is in none."""
    found = (re.search(r"//zenodo\.org/records/(\d+)/files/", each) for each in file.addresses)
    return next((match[1] for match in found if match), None)


def check_source(release: Release, *, source: str, zenodo_record: str = "") -> None:
    """Raise ValueError unless the release is where these settings look for it.

    Without a folder a release is fetched, so its images must be among its files. The simulated one
    is drawn and takes none. With a Zenodo record at least a table of it must be on Zenodo.
    """
    is_drawn = release.name == "simulated"
    if is_drawn and source:
        raise ValueError(
            f"'source' is given but 'release' is 'simulated', which is drawn. Name the release "
            f"that lies in {source!r}, such as 'class_table'"
        )
    if zenodo_record and not is_drawn and not any(map(find_zenodo_record, release.files)):
        raise ValueError(_explain_unfollowed(release))
    if not (is_drawn or source or any(file.role == "images" for file in release.files)):
        raise ValueError(_explain_missing(release, zenodo_record=zenodo_record))


def _explain_unfollowed(release: Release) -> str:
    followed = [each.name for each in RELEASES.values() if any(map(find_zenodo_record, each.files))]
    return (
        f"no file of release {release.name!r} is known to be on Zenodo, so no record there "
        "('zenodo_record', 'zenodo_concept') can be read as a version of it. Those with files on "
        f"Zenodo: {', '.join(followed)}. For this one, name the folder with its new files as "
        "'source', without a record"
    )


def _explain_missing(release: Release, *, zenodo_record: str) -> str:
    if not release.files:
        needed = f"release {release.name!r} needs 'source', the folder with its files"
        return f"{needed}: it is your own. Images: {release.image_source} Received: ''"
    what = "images" if zenodo_record else "files"
    tables = ", ".join(file.name for file in release.files)
    brought = (
        f"{tables} is taken from the Zenodo record."
        if zenodo_record
        else f"The folder also needs {tables}: 'galaxy-morphology releases fetch {release.name} "
        f"--folder data' brings that into data/{release.name}."
    )
    return (
        f"release {release.name!r} needs 'source', the folder with its {what}, as nobody offers "
        f"its images in an archive. Images: {release.image_source} {brought} Received: ''"
    )
