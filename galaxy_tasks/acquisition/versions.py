"""What Zenodo knows of a release: sizes and MD5 of its files, and other versions of them."""

import os
from dataclasses import replace
from pathlib import Path

from galaxy_tasks.acquisition import zenodo
from galaxy_tasks.acquisition.locate import find_placed
from galaxy_tasks.acquisition.tables import shorten
from galaxy_tasks.errors import GalaxyMorphologyError, InputError
from galaxy_tasks.releases.availability import find_zenodo_record
from galaxy_tasks.releases.schema import PublishedFile, Release


def complete_from_zenodo(release: Release, folder: Path) -> Release:
    """Return the release with exact sizes and MD5, as Zenodo's records say, of what needs them.

    These are the files that are missing from the folder, or there without a known MD5. Where Zenodo
    does not answer, or does not know a file, it stays as it is known here; this is told. An MD5
    that is known here has the last word.
    """
    names = {
        each.file.name
        for each in find_placed(release, folder)
        if not each.path or not (each.placeholder or each.file.md5)
    }
    wanted = {file.name: find_zenodo_record(file) for file in release.files if file.name in names}
    offered: dict[str, dict[str, zenodo.RecordFile]] = {}
    for record_id in dict.fromkeys(filter(None, wanted.values())):
        try:
            record = zenodo.request_record(record_id, url=_zenodo_url())
        except GalaxyMorphologyError as error:
            print(
                f"Zenodo says nothing of sizes and MD5 in record {record_id} ({error}). "
                "Going on with what is known here.",
                flush=True,
            )
            continue
        offered[record_id] = {file.name: file for file in record.files}
    files = (
        _complete(file, offered.get(wanted.get(file.name) or "", {}).get(file.name))
        for file in release.files
    )
    return replace(release, files=tuple(files))


def _complete(file: PublishedFile, offered: zenodo.RecordFile | None) -> PublishedFile:
    if offered is None:
        return file
    if file.md5 and offered.md5 and file.md5 != offered.md5:
        print(
            f"{file.name}: Zenodo says MD5 {offered.md5}, known here is {file.md5}, which counts.",
            flush=True,
        )
        return file
    return replace(file, md5=file.md5 or offered.md5, size_bytes=offered.size_bytes)


def take_version(release: Release, record_id: str) -> Release:
    """Return the release with the files of a Zenodo record in place of those it knows.

    What the release has from elsewhere stays.

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
            file,
            addresses=(new.address,),
            md5=new.md5,
            size_mb=None,
            size_bytes=new.size_bytes,
        )
        if (new := offered.get(file.name))
        else file
        for file in release.files
    )
    return replace(release, files=tuple(files))


def _zenodo_url() -> str:
    return os.environ.get("GALAXY_ZENODO_URL") or zenodo.PUBLIC_URL
