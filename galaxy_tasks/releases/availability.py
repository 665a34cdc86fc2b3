"""Whether a release can be fetched by its name alone, or needs a folder that the user provides."""

import re

from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.schema import PublishedFile, Release


def find_zenodo_record(file: PublishedFile) -> str | None:
    """Return the number of the Zenodo record that has a file, or None."""
    found = (re.search(r"//zenodo\.org/records/(\d+)/files/", each) for each in file.addresses)
    return next((match[1] for match in found if match), None)


def check_source(release: Release, *, source: str, zenodo_record: str = "") -> None:
    """Raise ValueError unless the release can be found with these settings.

    Without a folder a release is fetched, so its images must be among its files. The simulated
    release is drawn and takes no folder. With a Zenodo record, at least one of the release's files
    must be on Zenodo.
    """
    is_drawn = release.name == "simulated"
    if is_drawn and source:
        raise ValueError(
            f"'source' is set, but the release 'simulated' is drawn. Set 'release' to the release "
            f"in {source!r}, such as 'class_table'"
        )
    if zenodo_record and not is_drawn and not any(map(find_zenodo_record, release.files)):
        raise ValueError(_explain_unfollowed(release))
    if not (is_drawn or source or any(file.role == "images" for file in release.files)):
        raise ValueError(_explain_missing(release, zenodo_record=zenodo_record))


def _explain_unfollowed(release: Release) -> str:
    followed = [each.name for each in RELEASES.values() if any(map(find_zenodo_record, each.files))]
    return (
        f"release {release.name!r} has no file on Zenodo, so no record there ('zenodo_record', "
        f"'zenodo_concept') is a version of it. Releases with files on Zenodo: "
        f"{', '.join(followed)}. For this one, set 'source' to the folder with its new files, "
        "without a record"
    )


def _explain_missing(release: Release, *, zenodo_record: str) -> str:
    if not release.files:
        return (
            f"release {release.name!r} needs 'source', the folder with its files: it is your own. "
            f"Images: {release.image_source} Received: ''"
        )
    what = "images" if zenodo_record else "files"
    tables = ", ".join(file.name for file in release.files)
    brought = (
        f"{tables} comes from the Zenodo record."
        if zenodo_record
        else f"The folder also needs {tables}, which 'galaxy-morphology releases fetch "
        f"{release.name} --folder data' puts into data/{release.name}."
    )
    return (
        f"release {release.name!r} needs 'source', the folder with its {what}: its images are "
        f"published in no archive. Images: {release.image_source} {brought} Received: ''"
    )
