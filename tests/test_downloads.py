"""A file is fetched whole and verified or not at all, whatever the server does."""

import datetime
import email.utils
import hashlib
import itertools
import json
import random
import shutil
import signal
import ssl
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from download_server import DownloadServer, Manner

from galaxy_tasks.downloads import (
    DownloadSettings,
    RemoteFile,
    check_file,
    fetch_file,
    fetch_files,
)
from galaxy_tasks.downloads.progress import Progress, format_bytes, format_duration
from galaxy_tasks.errors import InputError, ResourceError

CONTENT = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
MD5, SHA256 = hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()
FAST = DownloadSettings(
    timeout_s=1.0, shortest_pause_s=0.01, longest_pause_s=2.0, tries=4, reserve_bytes=0
)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture
def server():
    server = DownloadServer()
    yield server
    server.stop()


def fetch(address, folder, *, settings=FAST, **known):
    addresses = (address,) if isinstance(address, str) else address
    return fetch_file(
        RemoteFile("galaxies.zip", addresses, **known), folder=folder, settings=settings
    )


def visible_files(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


# What should be


@pytest.mark.parametrize(
    "known", [{"md5": MD5}, {"sha256": SHA256.upper()}, {"size_bytes": len(CONTENT)}, {}]
)
def test_a_file_arrives_whole_with_its_sha256_beside_it(server, tmp_path, known):
    address = server.serve("/a", CONTENT)

    fetched = fetch(address, tmp_path / "new" / "folder", **known)

    assert fetched.path.read_bytes() == CONTENT
    assert (fetched.sha256, fetched.size_bytes) == (SHA256, len(CONTENT))
    assert (fetched.origin, fetched.received_bytes) == ("downloaded", len(CONTENT))
    assert visible_files(fetched.path.parent) == ["galaxies.zip", "galaxies.zip.sha256"]
    checked = subprocess.run(
        ["sha256sum", "--check", "galaxies.zip.sha256"], cwd=fetched.path.parent, check=False
    )
    assert checked.returncode == 0
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


def test_an_empty_file_is_a_file(server, tmp_path):
    assert fetch(server.serve("/a", b""), tmp_path, size_bytes=0).path.read_bytes() == b""


def test_what_is_there_is_verified_and_not_fetched_again(server, tmp_path):
    address = server.serve("/a", CONTENT)
    fetch(address, tmp_path, md5=MD5)

    again = fetch(address, tmp_path, md5=MD5)

    assert (again.origin, again.sha256, again.received_bytes) == ("already_there", SHA256, 0)
    assert len(server.requests) == 1


def test_a_placed_file_is_verified_recorded_and_used(tmp_path):
    (tmp_path / "galaxies.zip").write_bytes(CONTENT)

    assert fetch((), tmp_path, md5=MD5).origin == "already_there"

    assert (tmp_path / "galaxies.zip.sha256").read_text().split()[0] == SHA256


def test_a_placed_file_that_is_another_one_is_refused_and_left_alone(server, tmp_path):
    (tmp_path / "galaxies.zip").write_bytes(OTHER)

    with pytest.raises(InputError, match=f"expected MD5 {MD5}, received .* Move it away"):
        fetch(server.serve("/a", CONTENT), tmp_path, md5=MD5)

    assert (tmp_path / "galaxies.zip").read_bytes() == OTHER
    assert server.requests == []


def test_the_sha256_of_the_first_download_counts_ever_after(server, tmp_path):
    """Where nothing is published, a changed file is still noticed: on disk and at its source."""
    address = server.serve("/a", CONTENT)
    path = fetch(address, tmp_path).path
    path.write_bytes(OTHER)

    with pytest.raises(InputError, match=r"galaxies\.zip\.sha256 recorded"):
        fetch(address, tmp_path)
    path.unlink()
    server.serve("/a", OTHER, etag='"two"')
    with pytest.raises(InputError, match=f"expected SHA-256 {SHA256}"):
        fetch(address, tmp_path)

    assert visible_files(tmp_path) == ["galaxies.zip.sha256"]


def test_a_file_without_address_and_not_there_asks_for_it(tmp_path):
    with pytest.raises(InputError, match="Place the file in the folder"):
        fetch((), tmp_path)


def test_check_says_what_is_wrong_and_changes_nothing(tmp_path):
    remote = RemoteFile("galaxies.zip", (), sha256=SHA256)
    with pytest.raises(InputError, match="not there"):
        check_file(remote, folder=tmp_path)
    (tmp_path / "galaxies.zip").write_bytes(CONTENT)
    assert check_file(remote, folder=tmp_path).sha256 == SHA256
    (tmp_path / "galaxies.zip").write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(InputError, match="expected SHA-256"):
        check_file(remote, folder=tmp_path)
    assert visible_files(tmp_path) == ["galaxies.zip"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../a"},
        {"name": ""},
        {"name": ".hidden"},
        {"name": "a.part"},
        {"addresses": ("ftp://host/a",)},
        {"addresses": ("file:///etc/passwd",)},
        {"addresses": ("https://host/a b",)},
        {"md5": "abc"},
        {"sha256": MD5},
        {"size_bytes": -1},
    ],
)
def test_what_cannot_be_fetched_is_refused_when_stated(wrong):
    with pytest.raises(InputError, match=r"received|ends as|cannot be"):
        RemoteFile(**{"name": "a", "addresses": (), **wrong})


# Interruptions


@pytest.mark.parametrize("resets", [False, True], ids=["closed", "reset"])
def test_ten_cut_connections_cost_no_byte_twice(server, tmp_path, resets):
    content = random.Random(3).randbytes(4_000_000)
    cuts = [Manner(cut_after=350_000, resets=resets)] * 10
    address = server.serve("/a", content, *cuts)

    fetched = fetch(address, tmp_path, sha256=hashlib.sha256(content).hexdigest())

    assert fetched.path.read_bytes() == content
    assert len(server.requests) == 11
    assert server.sent_bytes <= 1.02 * len(content)


DOWNLOAD = """
import sys
from pathlib import Path
from galaxy_tasks.downloads import DownloadSettings, RemoteFile, fetch_file
address, folder, md5 = sys.argv[1:]
fetched = fetch_file(
    RemoteFile("galaxies.zip", (address,), md5=md5 or None),
    folder=Path(folder), settings=DownloadSettings(reserve_bytes=0),
)
print(fetched.origin)
"""


def start_download(address, folder, md5=""):
    return subprocess.Popen(
        [sys.executable, "-c", DOWNLOAD, address, str(folder), md5],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(condition, *, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def size_of(path):
    return path.stat().st_size if path.exists() else 0


def test_ten_killed_processes_cost_at_most_two_percent(server, tmp_path):
    content = random.Random(4).randbytes(8_000_000)
    step = len(content) // 11
    address = server.serve("/a", content, *[Manner(hold_after=step)] * 10)
    part = tmp_path / "galaxies.zip.part"

    for killed in range(1, 11):
        with start_download(address, tmp_path) as process:
            wait_until(lambda count=killed: size_of(part) == count * step)
            assert visible_files(tmp_path) == ["galaxies.zip.part", "galaxies.zip.part.json"]
            process.kill()
    fetched = fetch(address, tmp_path, sha256=hashlib.sha256(content).hexdigest())

    assert fetched.received_bytes == len(content) - 10 * step
    assert server.sent_bytes <= 1.02 * len(content)


KILL_AT_RENAME = """
import os, signal, sys
left = int(sys.argv.pop())
def kill_at(event, arguments):
    global left
    left -= event == "os.rename"
    if event == "os.rename" and not left:
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill_at)
"""


@pytest.mark.parametrize("count", [1, 2, 3], ids=["sidecar", "record", "file"])
def test_a_process_killed_at_any_rename_leaves_nothing_half(server, tmp_path, count):
    address = server.serve("/a", CONTENT)
    script = KILL_AT_RENAME + DOWNLOAD
    command = [sys.executable, "-c", script, address, str(tmp_path), "", str(count)]
    killed = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "galaxies.zip").exists()

    assert fetch(address, tmp_path).path.read_bytes() == CONTENT

    assert len(server.requests) == (2 if count == 1 else 1)
    assert visible_files(tmp_path) == ["galaxies.zip", "galaxies.zip.sha256"]


def test_after_a_failure_of_the_machine_only_flushed_bytes_are_believed(server, tmp_path):
    """As a power failure leaves it: the tail of the part has its length, but zeros in it."""
    settings = replace(FAST, flush_every_bytes=100_000, tries=1)
    address = server.serve("/a", CONTENT, Manner(cut_after=250_000), Manner(status=500))
    with pytest.raises(ResourceError):
        fetch(address, tmp_path, settings=settings)
    part, sidecar = tmp_path / "galaxies.zip.part", tmp_path / "galaxies.zip.part.json"
    assert part.stat().st_size == 250_000
    known = json.loads(sidecar.read_text())
    flushed_bytes = known["flushed_bytes"]
    assert 100_000 <= flushed_bytes < 250_000
    part.write_bytes(CONTENT[:flushed_bytes] + bytes(250_000 - flushed_bytes))
    sidecar.write_text(json.dumps({**known, "boot_id": "another"}))

    assert fetch(address, tmp_path).path.read_bytes() == CONTENT

    assert server.requests[-1].headers["Range"] == f"bytes={flushed_bytes}-"


def test_two_processes_at_once_fetch_once(server, tmp_path):
    address = server.serve("/a", CONTENT, Manner(piece_pause_s=0.15))
    processes = [start_download(address, tmp_path, MD5) for _ in range(2)]

    lines = [process.communicate(timeout=30)[0].split() for process in processes]

    assert sorted(words[-1] for words in lines) == ["already_there", "downloaded"]
    assert server.sent_bytes == len(CONTENT)
    assert "waiting" in {word for words in lines for word in words}


def test_a_lock_that_is_never_freed_ends_the_wait(server, tmp_path):
    address = server.serve("/a", CONTENT, Manner(hold_after=1000))
    with start_download(address, tmp_path) as process:
        wait_until(lambda: size_of(tmp_path / "galaxies.zip.part") == 1000)
        with pytest.raises(ResourceError, match="stayed locked"):
            fetch(address, tmp_path, settings=replace(FAST, lock_timeout_s=0.1))
        process.kill()


# Bad servers


@pytest.mark.parametrize(
    ("manners", "requests"),
    [
        ([Manner(status=503, headers={"Retry-After": "1"})], 2),
        ([Manner(status=500), Manner(status=429), Manner(status=408)], 4),
        ([Manner(cut_after=100_000), Manner(ignores_range=True)], 2),
        ([Manner(cut_after=100_000), Manner(ignores_range=True, cut_after=50_000)], 3),
        ([Manner(cut_after=100_000), Manner(headers={"Content-Range": "bytes 7-8/9"})], 3),
        ([Manner(cut_after=100_000), Manner(headers={"Content-Range": None})], 3),
        ([Manner(cut_after=100_000), Manner(status=416)], 3),
        ([Manner(length_error=5)], 2),
        ([Manner(length_error=-5)], 2),
        ([Manner(headers={"Content-Encoding": "gzip"})], 2),
        ([Manner(is_chunked=True)], 1),
        ([Manner(is_chunked=True, cut_after=100_000)], 2),
        ([Manner(headers={"Content-Length": None})], 1),
        ([Manner(headers={"Content-Length": None}, cut_after=100_000)], 2),
        ([Manner(hold_after=100_000)], 2),
        ([Manner(hold_after=0)], 2),
        ([Manner(cut_after=0)], 2),
        ([Manner(status=204), Manner(status=200)], 3),
    ],
    ids=str,
)
def test_what_a_server_does_wrong_once_is_overcome(server, tmp_path, manners, requests):
    address = server.serve("/a", CONTENT, *manners)

    fetched = fetch(address, tmp_path, size_bytes=len(CONTENT), sha256=SHA256)

    assert fetched.path.read_bytes() == CONTENT
    assert len(server.requests) == requests
    assert visible_files(tmp_path) == ["galaxies.zip", "galaxies.zip.sha256"]


@pytest.mark.parametrize(
    ("manner", "known", "error", "message"),
    [
        (Manner(status=404), {}, InputError, "answers 404"),
        (Manner(status=403), {}, InputError, "answers 403"),
        (Manner(status=500), {}, ResourceError, "answers 500 .* run again to go on"),
        (Manner(status=503, headers={"Retry-After": "600"}), {}, ResourceError, "wait 10 min"),
        (Manner(length_error=5), {}, ResourceError, "after byte 300000 of 300005|416"),
        (Manner(length_error=5), {"size_bytes": 300_000}, InputError, "300000 .* 300005 bytes"),
        (Manner(length_error=-5), {"md5": MD5}, InputError, f"expected MD5 {MD5}"),
        (Manner(), {"size_bytes": 10}, InputError, "expected 10 bytes, received 300000 bytes"),
        (Manner(), {"sha256": "0" * 64}, InputError, f"received {SHA256}"),
        (Manner(headers={"Content-Encoding": "gzip"}), {}, InputError, "Content-Encoding 'gzip'"),
        (Manner(headers={"Content-Length": None}), {}, InputError, "could not be told from"),
        (Manner(hold_after=10), {}, ResourceError, "timed out"),
        (Manner(cut_after=0), {}, ResourceError, "ended after byte 0 of 300000"),
        (Manner(is_chunked=True), {"size_bytes": 1_000}, InputError, "more than the 1000 bytes"),
        (Manner(status=302, headers={"Location": "ftp://host/a?secret"}), {}, InputError, "ftp:"),
        (Manner(status=302, headers={"Location": "file:///etc/passwd"}), {}, InputError, "file:"),
        (Manner(status=302, headers={"Location": "/a"}), {}, InputError, "in circles"),
    ],
)
def test_what_a_server_does_wrong_for_ever_is_named(
    server, tmp_path, manner, known, error, message
):
    address = server.serve("/a", CONTENT, *[manner] * 40)
    settings = replace(FAST, timeout_s=0.5)

    with pytest.raises(error, match=message) as raised:
        fetch(address, tmp_path, settings=settings, **known)

    assert address in str(raised.value)
    assert "secret" not in str(raised.value)
    assert not (tmp_path / "galaxies.zip").exists()
    assert len(server.requests) <= 12


def test_a_server_that_drips_is_left(server, tmp_path):
    slow = [Manner(piece_pause_s=0.15)] * 10
    address = server.serve("/a", CONTENT, *slow)
    quick = server.serve("/b", CONTENT)
    settings = replace(FAST, timeout_s=0.4, slowest_bytes_per_s=150_000)

    fetched = fetch((address, quick), tmp_path, settings=settings, sha256=SHA256)

    assert [request.path for request in server.requests] == ["/a", "/b"]
    assert fetched.received_bytes == len(CONTENT)


def test_nobody_answering_is_no_fault_of_the_input(tmp_path):
    unused = DownloadServer()
    address = unused.address("/a")
    unused.stop()
    with pytest.raises(ResourceError, match="refused"):
        fetch(address, tmp_path)


def test_a_date_in_retry_after_is_waited_for(server, tmp_path):
    at = email.utils.format_datetime(
        datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2), usegmt=True
    )
    address = server.serve("/a", CONTENT, Manner(status=429, headers={"Retry-After": at}))
    began_s = time.monotonic()
    fetch(address, tmp_path)
    assert time.monotonic() - began_s > 0.9


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


def test_a_gz_file_is_kept_as_it_is_where_the_server_calls_it_encoded(server, tmp_path):
    stated = Manner(headers={"Content-Encoding": "x-gzip"})
    assert fetch(server.serve("/a.csv.gz", CONTENT, stated), tmp_path).sha256 == SHA256


# Several addresses


def test_a_second_address_goes_on_where_the_first_ended(server, tmp_path):
    first = server.serve("/a", CONTENT, Manner(cut_after=100_000), *[Manner(status=500)] * 9)
    second = server.serve("/b", CONTENT, etag='"other server"')

    fetched = fetch((first, second), tmp_path, sha256=SHA256)

    assert fetched.received_bytes == server.sent_bytes == len(CONTENT)
    assert server.requests[-1].path == "/b"
    assert "If-Range" not in server.requests[-1].headers


def test_without_hash_the_second_address_begins_anew_when_the_first_is_dead(server, tmp_path):
    first = server.serve("/a", CONTENT, Manner(cut_after=100_000), *[Manner(status=500)] * 9)
    second = server.serve("/b", OTHER)

    assert fetch((first, second), tmp_path).path.read_bytes() == OTHER

    assert [request.path for request in server.requests] == ["/a"] * 5 + ["/b"]


def test_an_address_with_another_file_is_passed_over(server, tmp_path):
    wrong, right = server.serve("/a", OTHER), server.serve("/b", CONTENT)
    assert fetch((wrong, right), tmp_path, md5=MD5).path.read_bytes() == CONTENT
    assert [request.path for request in server.requests] == ["/a", "/b"]


def test_redirects_lead_to_another_host(server, tmp_path):
    server.serve("/b", CONTENT)
    onward = Manner(status=302, headers={"Location": server.address("/b", host="localhost")})
    address = server.serve("/a", b"", onward, Manner(**vars(onward)))
    server.manners["/b"] = [Manner(cut_after=100_000)]

    assert fetch(address, tmp_path, md5=MD5).received_bytes == len(CONTENT)

    assert server.requests[-1].headers["Range"] == "bytes=100000-"
    assert server.requests[-1].headers["Host"].startswith("localhost:")


@pytest.fixture
def secure_server(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
        + certificate.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server = DownloadServer(context=context)
    yield server, path
    server.stop()


def test_https_is_verified_and_never_left(secure_server, server, tmp_path, monkeypatch):
    secure, certificate = secure_server
    secure.serve("/a", CONTENT)
    plain = server.serve("/b", CONTENT)
    secure.serve("/to_plain", b"", Manner(status=301, headers={"Location": plain}))
    host = {"host": "localhost"}

    with pytest.raises(InputError, match="certificate is not trusted"):
        fetch(secure.address("/a", **host), tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(InputError, match="redirects from https to http://127"):
        fetch(secure.address("/to_plain", **host), tmp_path)

    assert fetch(secure.address("/a", **host), tmp_path).sha256 == SHA256


# The disk


def test_too_little_space_is_said_before_a_byte_comes(server, tmp_path):
    address = server.serve("/a", CONTENT)
    settings = replace(FAST, reserve_bytes=shutil.disk_usage(tmp_path).total)
    message = r"300\.0 kB needed .* free\. Free some"

    with pytest.raises(ResourceError, match=message):
        fetch(address, tmp_path, settings=settings, size_bytes=len(CONTENT))
    assert server.requests == []
    with pytest.raises(ResourceError, match=message):
        fetch(address, tmp_path, settings=settings)
    with pytest.raises(ResourceError, match=r"600\.0 kB needed"):
        fetch_files(
            [RemoteFile(name, (address,), size_bytes=300_000) for name in "ab"],
            folder=tmp_path,
            settings=settings,
        )
    assert not (tmp_path / "galaxies.zip").exists()


def test_a_disk_that_takes_no_more_is_told_and_the_part_kept(server, tmp_path):
    address = server.serve("/a", CONTENT)
    script = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, -1))" + DOWNLOAD
    with subprocess.Popen(
        [sys.executable, "-c", script, address, str(tmp_path), ""],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        errors = process.communicate(timeout=30)[1]
    assert "ResourceError" in errors.splitlines()[-1]
    assert "File too large" in errors.splitlines()[-1]
    kept = size_of(tmp_path / "galaxies.zip.part")
    assert 0 < kept <= 100_000

    assert fetch(address, tmp_path).received_bytes == len(CONTENT) - kept


def test_a_folder_where_the_file_should_be_is_refused(server, tmp_path):
    (tmp_path / "galaxies.zip").mkdir()
    with pytest.raises(InputError, match="expected a file"):
        fetch(server.serve("/a", CONTENT), tmp_path)


# Several files


def test_several_files_come_side_by_side_and_in_order(server, tmp_path):
    contents = {f"f{number}": random.Random(number).randbytes(50_000) for number in range(6)}
    remotes = [
        RemoteFile(name, (server.serve(f"/{name}", content, Manner(piece_pause_s=0.05)),))
        for name, content in contents.items()
    ]
    fetched = fetch_files(remotes, folder=tmp_path, settings=FAST)
    assert [file.path.read_bytes() for file in fetched] == list(contents.values())
    assert server.most_at_once > 1


def test_as_many_files_come_at_a_time_as_are_allowed(server, tmp_path, capsys):
    remotes = [RemoteFile(name, (server.serve(f"/{name}", CONTENT),)) for name in "abc"]
    fetch_files(remotes, folder=tmp_path, settings=replace(FAST, parallel_files=1))
    words = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert words == ["fetching", "complete"] * 3


def test_a_file_that_fails_does_not_cost_the_others(server, tmp_path):
    remotes = [
        RemoteFile("a", (server.address("/none"),)),
        RemoteFile("b", (server.serve("/b", CONTENT),)),
        RemoteFile("c", (server.serve("/c", CONTENT, *[Manner(status=500)] * 9),)),
    ]
    with pytest.raises(InputError, match=r"2 files failed: a .*404.* \| c .*500"):
        fetch_files(remotes, folder=tmp_path, settings=FAST)
    assert (tmp_path / "b").read_bytes() == CONTENT
    with pytest.raises(InputError, match="different names"):
        fetch_files([remotes[0]] * 2, folder=tmp_path)


def test_an_interrupt_ends_several_downloads_at_once(server, tmp_path):
    script = (
        DOWNLOAD.replace("fetched = fetch_file(", "fetched = fetch_files([")
        .replace("md5=md5 or None),", "md5=md5 or None), RemoteFile('b', (address,))],")
        .replace("fetch_file\n", "fetch_files\n")
    )
    address = server.serve("/a", CONTENT, *[Manner(piece_pause_s=0.5)] * 2)
    with subprocess.Popen(
        [sys.executable, "-c", script, address, str(tmp_path), ""], stderr=subprocess.PIPE
    ) as process:
        wait_until(lambda: all(size_of(tmp_path / f"{n}.part") for n in ("galaxies.zip", "b")))
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=10)[1]
    assert b"KeyboardInterrupt" in errors
    assert time.monotonic() - began_s < 5  # of 9
    assert size_of(tmp_path / "b.part") > 0


# What the log shows


def test_progress_tells_bytes_share_rate_and_time_left(capsys):
    seconds = itertools.count(0, 4)
    progress = Progress("a.zip", every_s=5, clock=lambda: float(next(seconds)))
    for received_bytes in (10_000_000, 20_000_000, 30_000_000):
        progress.add(10_000_000, position_bytes=received_bytes, total_bytes=100_000_000)
    progress.add(0, position_bytes=30_000_000, total_bytes=None)
    assert capsys.readouterr().out.splitlines() == [
        "a.zip: 20.0 MB of 100.0 MB (20 %), 2.5 MB/s, 32 s left",
        "a.zip: 30.0 MB, 1.9 MB/s, size unknown",
    ]


def test_sizes_and_durations_read_as_words():
    assert [format_bytes(size) for size in (0, 999, 1000, 3.4e9)] == [
        "0 bytes", "999 bytes", "1.0 kB", "3.4 GB",
    ]  # fmt: skip
    assert [format_duration(s) for s in (45, 100, 5400, 11_100)] == [
        "45 s", "2 min", "1 h 30 min", "3 h 05 min",
    ]  # fmt: skip


def test_progress_lines_come_at_most_every_so_often(server, tmp_path, capsys):
    address = server.serve("/a", CONTENT, Manner(piece_pause_s=0.03))
    began_s = time.monotonic()
    fetch(address, tmp_path, settings=replace(FAST, progress_every_s=0.2))
    passed_s = time.monotonic() - began_s
    lines = [line for line in capsys.readouterr().out.splitlines() if " left" in line]
    assert 1 <= len(lines) <= passed_s / 0.2
    assert all("MB/s" in line or "kB/s" in line for line in lines)
