"""Files from public archives: fetched whole and verified or not at all, and unpacked as carefully.

`fetching` has the functions for callers, `transfer` the tries, `connection` one request, `mirrors`
the choice among addresses, `partial` what survives an interruption, `verification` sizes and
hashes, `progress` what the task log shows, and `locking` what keeps two processes apart.
"""

from galaxy_tasks.downloads.fetching import check_file, fetch_file, fetch_files
from galaxy_tasks.downloads.records import DownloadSettings, FetchedFile, RemoteFile

__all__ = [
    "DownloadSettings",
    "FetchedFile",
    "RemoteFile",
    "check_file",
    "fetch_file",
    "fetch_files",
]
