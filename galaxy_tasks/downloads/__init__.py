"""Files from public archives: fetched whole and verified or not at all, and unpacked as carefully.

`fetching` has the functions for callers, `transfer` the tries, `connection` one request,
`patience` how long it is waited for, `failures` what went wrong with it, `mirrors` the choice among
addresses, `partial` what survives an interruption, `verification` sizes and hashes, `progress` what
the task log shows, `locking` what keeps two processes apart, and `disk` what it has room for.
`archives` unpacks, `zipped` reads a zip in place, `members` says what either may touch, and
`layouts` under which names.
"""

from galaxy_tasks.downloads.archives import UnpackedArchive, unpack_archive
from galaxy_tasks.downloads.fetching import check_file, fetch_file, fetch_files
from galaxy_tasks.downloads.records import DownloadSettings, FetchedFile, RemoteFile
from galaxy_tasks.downloads.zipped import Place, ZippedMembers, open_members

__all__ = [
    "DownloadSettings",
    "FetchedFile",
    "Place",
    "RemoteFile",
    "UnpackedArchive",
    "ZippedMembers",
    "check_file",
    "fetch_file",
    "fetch_files",
    "open_members",
    "unpack_archive",
]
