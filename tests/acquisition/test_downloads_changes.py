"""What an earlier try left is gone on with only if it is of the same file."""

import hashlib
from dataclasses import replace

import pytest
from fixtures.download_inputs import CONTENT, FAST, MD5, OTHER, SHA256, fetch
from fixtures.download_server import Manner

from galaxy_tasks.errors import ResourceError


@pytest.mark.parametrize("known", [{}, {"sha256": hashlib.sha256(OTHER).hexdigest()}])
@pytest.mark.parametrize("ignores_if_range", [False, True])
def test_a_file_that_changes_in_between_is_fetched_afresh(
    server, tmp_path, known, ignores_if_range
):
    address = server.serve("/a", CONTENT, Manner(cut_after=100_000), Manner(status=500))
    with pytest.raises(ResourceError):
        fetch(address, tmp_path, settings=replace(FAST, tries=1), **known)
    server.serve("/a", OTHER, Manner(ignores_if_range=ignores_if_range), etag='"two"')

    assert fetch(address, tmp_path, **known).path.read_bytes() == OTHER


def test_a_change_that_the_server_hides_is_found_by_the_hash(server, tmp_path):
    address = server.serve("/a", OTHER, Manner(cut_after=100_000), Manner(status=500))
    with pytest.raises(ResourceError):
        fetch(address, tmp_path, settings=replace(FAST, tries=1), md5=MD5)
    server.serve("/a", CONTENT)  # same ETag, same date, other bytes

    assert fetch(address, tmp_path, md5=MD5).path.read_bytes() == CONTENT


def test_without_hash_and_version_the_rest_is_not_trusted(server, tmp_path):
    no_marks = {"ETag": 'W/"weak"', "Last-Modified": None}
    address = server.serve(
        "/a", CONTENT, Manner(headers=no_marks, cut_after=100_000), Manner(headers=no_marks)
    )
    assert fetch(address, tmp_path).path.read_bytes() == CONTENT
    assert "Range" not in server.requests[1].headers


def test_a_date_serves_where_the_etag_is_weak(server, tmp_path):
    address = server.serve("/a", CONTENT, Manner(cut_after=100_000), etag='W/"weak"')
    fetch(address, tmp_path)
    assert server.requests[1].headers["If-Range"] == server.last_modified
    assert server.sent_bytes == len(CONTENT)


@pytest.mark.parametrize("known", [{}, {"size_bytes": 300_000, "md5": MD5}])
def test_a_part_that_is_complete_needs_no_request(server, tmp_path, known):
    """As a process leaves it that was killed while it verified."""
    address = server.serve("/a", CONTENT, Manner(length_error=1), Manner(status=500))
    with pytest.raises(ResourceError):
        fetch(address, tmp_path, settings=replace(FAST, tries=1))
    sidecar = tmp_path / "galaxies.zip.part.json"
    sidecar.write_text(sidecar.read_text().replace("300001", "300000"))
    sent = len(server.requests)
    assert fetch(address, tmp_path, **known).path.read_bytes() == CONTENT
    assert len(server.requests) == sent


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"address": 1'])
def test_a_damaged_sidecar_costs_a_new_start_only(server, tmp_path, text):
    (tmp_path / "galaxies.zip.part").write_bytes(OTHER[:1000])
    (tmp_path / "galaxies.zip.part.json").write_text(text)
    assert fetch(server.serve("/a", CONTENT), tmp_path).path.read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["/a.csv.gz", "/a.csv.gz?download=1"])
def test_a_gz_file_is_kept_as_it_is_where_the_server_calls_it_encoded(server, tmp_path, path):
    stated = [Manner(headers={"Content-Encoding": "x-gzip"})] * 9
    assert fetch(server.serve(path, CONTENT, *stated), tmp_path).sha256 == SHA256
