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
    """A file of a record; None is what Zenodo does not state."""

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
        try:
            answer = found["hits"]["hits"][0]
        except (LookupError, TypeError):
            raise InputError(f"Zenodo has no concept record {concept}: {error}") from None
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
        InputError: it is none, or does not state which version of which concept it is.
    """
    try:
        record_id, concept = str(answer["id"]), str(answer["conceptrecid"])
        if not (re.fullmatch(r"\d{1,18}", record_id) and re.fullmatch(r"\d{1,18}", concept)):
            raise ValueError(f"ids {record_id[:40]!r} and {concept[:40]!r}")
        metadata = answer.get("metadata", {})
        version = metadata.get("version") or metadata.get("publication_date") or ""
        files = tuple(map(_parse_file, answer.get("files") or ()))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            "Zenodo's answer is no record: expected numbers as 'id' and 'conceptrecid', and files "
            f"with 'key' and 'links', received {error!r}."
        ) from None
    version = " ".join(str(version).split())[:_MAX_NAME_LENGTH]
    return ZenodoRecord(id=record_id, concept=concept, version=version, files=files)


def _parse_file(entry: Any) -> ZenodoFile:
    md5 = re.fullmatch(r"md5:([0-9a-fA-F]{32})", str(entry.get("checksum")))
    return ZenodoFile(
        name=entry["key"],
        address=entry["links"]["self"],
        size_bytes=entry.get("size"),
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
