"""What Zenodo states about a release: sizes and MD5 of its files, and other versions of them."""

import logging
import os
from dataclasses import replace
from pathlib import Path

from galaxy_tasks.acquisition import zenodo
from galaxy_tasks.acquisition.locate import find_placed
from galaxy_tasks.errors import GalaxyMorphologyError, InputError
from galaxy_tasks.formatting import shorten
from galaxy_tasks.releases.availability import find_zenodo_record
from galaxy_tasks.releases.schema import PublishedFile, Release

_logger = logging.getLogger(__name__)


def complete_from_zenodo(release: Release, folder: Path) -> Release:
    """Return the release with the exact sizes and MD5 that Zenodo states for files that need them.

    These are the files that are missing from the folder, or there without a known MD5. A file that
    Zenodo does not know, or about which it does not answer, stays as it is known here. An MD5 that
    is known here takes precedence.
    """
    names = {
        each.file.name
        for each in find_placed(release, folder)
        if not each.path or not (each.substitute or each.file.md5)
    }
    wanted = {file.name: find_zenodo_record(file) for file in release.files if file.name in names}
    offered: dict[tuple[str | None, str], zenodo.ZenodoFile] = {}
    for record_id in dict.fromkeys(filter(None, wanted.values())):
        try:
            record = zenodo.request_record(record_id, url=_zenodo_url())
        except GalaxyMorphologyError as error:
            _logger.warning(
                "Zenodo gives no sizes and MD5 of record %s (%s). Continuing without them.",
                record_id,
                error,
            )
            continue
        offered |= {(record_id, file.name): file for file in record.files}
    files = (
        _complete(file, offered.get((wanted.get(file.name), file.name))) for file in release.files
    )
    return replace(release, files=tuple(files))


def _complete(file: PublishedFile, offered: zenodo.ZenodoFile | None) -> PublishedFile:
    if offered is None:
        return file
    if file.md5 and offered.md5 and file.md5 != offered.md5:
        _logger.warning(
            "%s: Zenodo states MD5 %s, expected here is %s, which counts.",
            file.name,
            offered.md5,
            file.md5,
        )
        return file
    return replace(file, md5=file.md5 or offered.md5, size_bytes=offered.size_bytes)


def take_version(release: Release, record_id: str) -> Release:
    """Return the release with the files of a Zenodo record in place of those it knows.

    Files that the release has from elsewhere stay.

    Raises:
        InputError: the record lacks a file that the release has from Zenodo.
        ResourceError: Zenodo does not answer.
    """
    record = zenodo.request_record(record_id, url=_zenodo_url())
    offered = {file.name: file for file in record.files}
    known = [file.name for file in release.files if find_zenodo_record(file)]
    missing = [name for name in known if name not in offered]
    if missing or not known:
        raise InputError(
            f"Zenodo record {record.id} (version {record.version or 'not stated'}) is no version "
            f"of {release.name} that can be read. Expected: {shorten(known)}. Missing: "
            f"{shorten(missing)}. Found: {shorten(offered)}"
        )
    files = (
        replace(
            file, addresses=(new.address,), md5=new.md5, size_mb=None, size_bytes=new.size_bytes
        )
        if (new := offered.get(file.name))
        else file
        for file in release.files
    )
    return replace(release, files=tuple(files))


def _zenodo_url() -> str:
    return os.environ.get("GALAXY_ZENODO_URL") or zenodo.PUBLIC_URL
