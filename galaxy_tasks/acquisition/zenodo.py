"""What Zenodo says of a record: one version of a publication, with its files and their MD5.

All versions of a publication share a concept record. Zenodo's REST API answers
`/api/records/ID/versions/latest`; for a concept's own id it has answered 404 at times
(github.com/zenodo/zenodo/issues/2499), and the documented search finds the latest version then.
"""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from galaxy_tasks.errors import InputError, ResourceError

PUBLIC_URL = "https://zenodo.org"
_MAX_BYTES = 8 * 2**20
_MAX_NAME_LENGTH = 80


class ZenodoUnavailableError(ResourceError):
    """Zenodo gave no usable answer; a later request may get one."""

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        """Keep how long Zenodo wants to be left alone."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, kw_only=True)
class ZenodoFile:
    """A file of a record; None is what Zenodo does not say."""

    name: str
    address: str
    size_bytes: int | None
    md5: str | None


@dataclass(frozen=True, kw_only=True)
class ZenodoRecord:
    """One published version."""

    id: str
    concept: str
    version: str
    """What its authors call it, else the day of its publication, else empty."""
    files: tuple[ZenodoFile, ...]


def request_latest(concept: str, *, url: str = PUBLIC_URL, timeout_s: float = 20.0) -> ZenodoRecord:
    """Return the latest version of a concept record.

    Raises:
        InputError: there is no such concept record, or the id is that of one of its versions.
        ZenodoUnavailableError: a later request may be answered.
    """
    records_url = f"{url.rstrip('/')}/api/records"
    try:
        answer = _request(f"{records_url}/{concept}/versions/latest", timeout_s=timeout_s)
    except InputError as error:
        query = quote(f"conceptrecid:{concept}")
        found = _request(f"{records_url}?q={query}&size=1", timeout_s=timeout_s)
        hits = found.get("hits") if isinstance(found, dict) else None
        records = hits.get("hits") if isinstance(hits, dict) else None
        if not isinstance(records, list) or not records:
            raise InputError(f"Zenodo has no concept record {concept}: {error}") from None
        answer = records[0]
    record = parse_record(answer)
    if record.concept != concept:
        raise InputError(
            f"Zenodo record {concept} is not a concept record but a version, or another record, of "
            f"{record.concept}. Expected the concept's own number: {record.concept!r}."
        )
    return record


def request_record(
    record_id: str, *, url: str = PUBLIC_URL, timeout_s: float = 20.0
) -> ZenodoRecord:
    """Return a version by its own id.

    Raises:
        InputError: there is no such record.
        ZenodoUnavailableError: a later request may be answered.
    """
    return parse_record(_request(f"{url.rstrip('/')}/api/records/{record_id}", timeout_s=timeout_s))


def parse_record(answer: Any) -> ZenodoRecord:
    """Return the record of Zenodo's JSON.

    Raises:
        InputError: it is none, or says not which version of which concept it is.
    """
    answer = answer if isinstance(answer, dict) else {}
    record_id, concept = str(answer.get("id", "")), str(answer.get("conceptrecid", ""))
    if not (re.fullmatch(r"\d{1,18}", record_id) and re.fullmatch(r"\d{1,18}", concept)):
        raise InputError(
            "Zenodo's answer is no record: expected numbers as 'id' and 'conceptrecid', "
            f"received {record_id[:40]!r} and {concept[:40]!r}."
        )
    metadata = answer.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    version = metadata.get("version") or metadata.get("publication_date") or ""
    files = answer.get("files")
    return ZenodoRecord(
        id=record_id,
        concept=concept,
        version=" ".join(str(version).split())[:_MAX_NAME_LENGTH],
        files=tuple(
            file
            for entry in (files if isinstance(files, list) else [])
            if (file := _parse_file(entry))
        ),
    )


def _parse_file(entry: Any) -> ZenodoFile | None:
    """Return a file, None for what has no name or address: nobody can fetch it."""
    entry = entry if isinstance(entry, dict) else {}
    links = entry.get("links")
    name, address = entry.get("key"), links.get("self") if isinstance(links, dict) else None
    if not (isinstance(name, str) and isinstance(address, str)):
        return None
    size, checksum = entry.get("size"), str(entry.get("checksum", ""))
    md5 = re.fullmatch(r"md5:([0-9a-fA-F]{32})", checksum)
    return ZenodoFile(
        name=name,
        address=address,
        size_bytes=size if isinstance(size, int) and size >= 0 else None,
        md5=md5[1].lower() if md5 else None,
    )


def _request(address: str, *, timeout_s: float) -> Any:
    """Return the JSON of an address; what takes longer than the timeout is given up."""
    # Here, because DAG files import this module and httpx takes a while to load.
    from galaxy_tasks.acquisition.http_client import RequestError, read_small

    try:
        content = read_small(address, max_bytes=_MAX_BYTES, timeout_s=timeout_s)
    except RequestError as error:
        if error.kind == "refused":
            raise InputError(f"{address} {error}") from None
        raise ZenodoUnavailableError(
            f"{address} {error}", retry_after_s=error.retry_after_s
        ) from None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise ZenodoUnavailableError(
            f"{address} sent no JSON. Received: {content[:60].decode('utf-8', 'replace')!r}"
        ) from None
