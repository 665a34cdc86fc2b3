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

from galaxy_tasks.acquisition.downloads.connection import ask
from galaxy_tasks.acquisition.downloads.failures import TryError
from galaxy_tasks.acquisition.downloads.patience import Patience
from galaxy_tasks.errors import InputError, ResourceError

PUBLIC_URL = "https://zenodo.org"
_MOST_BYTES = 8 * 2**20
_LONGEST_NAME = 80


class NoAnswerError(ResourceError):
    """Zenodo gave no usable answer; a later request may get one."""

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        """Keep how long Zenodo wants to be left alone."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, kw_only=True)
class RecordFile:
    """A file of a record; None is what Zenodo does not say."""

    name: str
    address: str
    size_bytes: int | None
    md5: str | None


@dataclass(frozen=True, kw_only=True)
class Record:
    """One published version."""

    id: str
    concept: str
    version: str
    """What its authors call it, else the day of its publication, else empty."""
    files: tuple[RecordFile, ...]


def request_latest(concept: str, *, url: str = PUBLIC_URL, timeout_s: float = 20.0) -> Record:
    """Return the latest version of a concept record.

    Raises:
        InputError: there is no such concept record, or the id is that of one of its versions.
        NoAnswerError: a later request may be answered.
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


def request_record(record_id: str, *, url: str = PUBLIC_URL, timeout_s: float = 20.0) -> Record:
    """Return a version by its own id.

    Raises:
        InputError: there is no such record.
        NoAnswerError: a later request may be answered.
    """
    return parse_record(_request(f"{url.rstrip('/')}/api/records/{record_id}", timeout_s=timeout_s))


def parse_record(answer: Any) -> Record:
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
    return Record(
        id=record_id,
        concept=concept,
        version=" ".join(str(version).split())[:_LONGEST_NAME],
        files=tuple(
            file
            for entry in (files if isinstance(files, list) else [])
            if (file := _parse_file(entry))
        ),
    )


def _parse_file(entry: Any) -> RecordFile | None:
    """Return a file, None for what has no name or address: nobody can fetch it."""
    entry = entry if isinstance(entry, dict) else {}
    links = entry.get("links")
    name, address = entry.get("key"), links.get("self") if isinstance(links, dict) else None
    if not (isinstance(name, str) and isinstance(address, str)):
        return None
    size, checksum = entry.get("size"), str(entry.get("checksum", ""))
    md5 = re.fullmatch(r"md5:([0-9a-fA-F]{32})", checksum)
    return RecordFile(
        name=name,
        address=address,
        size_bytes=size if isinstance(size, int) and size >= 0 else None,
        md5=md5[1].lower() if md5 else None,
    )


def _request(address: str, *, timeout_s: float) -> Any:
    """Return the JSON of an address; what takes longer than twice the timeout is given up."""
    content, patience = b"", Patience(timeout_s, whole_s=2 * timeout_s)
    try:
        with ask(address, from_byte=0, validator=None, patience=patience) as answer:
            while chunk := answer.read_chunk():
                content += chunk
                if len(content) > _MOST_BYTES:
                    raise NoAnswerError(
                        f"{address} sent {len(content)} bytes and no end; at most {_MOST_BYTES} "
                        "were expected."
                    )
    except TryError as error:
        if error.kind == "refused":
            raise InputError(f"{address} {error}") from None
        raise NoAnswerError(f"{address} {error}", retry_after_s=error.retry_after_s) from None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise NoAnswerError(
            f"{address} sent no JSON. Received: {content[:60].decode('utf-8', 'replace')!r}"
        ) from None
