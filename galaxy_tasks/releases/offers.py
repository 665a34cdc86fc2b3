"""Whether a release can be had by its name alone, or needs a folder that the user has."""

import re

from galaxy_tasks.releases.rules import Release, RemoteFile


def find_record(file: RemoteFile) -> str | None:
    """Return the number of the Zenodo record that a file is in, None if it is in none."""
    found = (re.search(r"//zenodo\.org/records/(\d+)/files/", each) for each in file.addresses)
    return next((match[1] for match in found if match), None)


def check_source(release: Release, *, source: str) -> None:
    """Raise ValueError unless the release is where these settings look for it.

    Without a folder a release is fetched, so its images must be among its files. The simulated one
    is drawn and takes none.
    """
    is_drawn = release.name == "simulated"
    if is_drawn and source:
        raise ValueError(
            f"'source' is given but 'release' is 'simulated', which is drawn. Name the release "
            f"that lies in {source!r}, such as 'class_table'"
        )
    if not (is_drawn or source or any(file.role == "images" for file in release.files)):
        raise ValueError(_explain_missing(release))


def _explain_missing(release: Release) -> str:
    needed = f"release {release.name!r} needs 'source', the folder with its files"
    if not release.files:
        return f"{needed}: it is your own. Images: {release.image_source} Received: ''"
    tables = ", ".join(file.name for file in release.files)
    return (
        f"{needed}, as nobody offers its images in an archive. Images: {release.image_source} "
        f"The folder also needs {tables}: 'galaxy-morphology releases fetch {release.name} "
        f"--folder data' brings that into data/{release.name}. Received: ''"
    )
