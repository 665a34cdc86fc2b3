"""Whatever a server does, a file is fetched whole and verified or not at all."""

import datetime
import email.utils
import ssl
import time
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fixtures.download_inputs import CONTENT, FAST, MD5, OTHER, SHA256, fetch, visible_files
from fixtures.download_server import DownloadServer, Manner

from galaxy_tasks.errors import InputError, ResourceError


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
        ([Manner(status=302, headers={"Location": "http://host:bad/"})], 2),
        ([Manner(status=503, headers={"Retry-After": "Mon, 99 Foo 99999999999 x"})], 2),
        ([Manner(status=503, headers={"Retry-After": "Fri, 31 Dec 9999 23:59:59 -9999"})], 2),
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
        (Manner(status=304), {}, InputError, "answers 304"),
        (Manner(status=500), {}, ResourceError, "answers 500 .* run again to continue"),
        (Manner(status=503, headers={"Retry-After": "600"}), {}, ResourceError, "wait 10 min"),
        (Manner(status=503, headers={"Retry-After": "9" * 400}), {}, ResourceError, "wait 720 h"),
        (
            Manner(status=302, headers={"Location": "http://a:b/"}),
            {},
            ResourceError,
            "Invalid port",
        ),
        (Manner(length_error=5), {}, ResourceError, "closed connection|nothing from byte"),
        (Manner(length_error=5), {"size_bytes": 300_000}, InputError, "300000 .* 300005"),
        (Manner(length_error=-5), {"md5": MD5}, InputError, f"expected MD5 {MD5}"),
        (Manner(), {"size_bytes": 10}, InputError, "expected 10 bytes, received 300000"),
        (Manner(), {"sha256": "0" * 64}, InputError, f"received {SHA256}"),
        (Manner(headers={"Content-Encoding": "gzip"}), {}, InputError, "Content-Encoding 'gzip'"),
        (Manner(headers={"Content-Length": None}), {}, InputError, "could not be told from"),
        (Manner(hold_after=10), {}, ResourceError, "timed out after 0.5 s"),
        (Manner(cut_after=0), {}, ResourceError, "received 0 bytes, expected 300000"),
        (Manner(is_chunked=True), {"size_bytes": 1_000}, InputError, "more than 1000 bytes"),
        (Manner(status=302, headers={"Location": "ftp://host/a?secret"}), {}, InputError, "ftp:"),
        (Manner(status=302, headers={"Location": "file:///etc/passwd"}), {}, InputError, "file:"),
        (Manner(status=302, headers={"Location": "/a"}), {}, InputError, "redirects"),
    ],
    ids=str,
)
def test_what_a_server_always_does_wrong_is_named(server, tmp_path, manner, known, error, message):
    address = server.serve("/a", CONTENT, *[manner] * 40)
    settings = replace(FAST, timeout_s=0.5)

    with pytest.raises(error, match=message) as raised:
        fetch(address, tmp_path, settings=settings, **known)

    assert address in str(raised.value)
    assert "secret" not in str(raised.value)
    assert not (tmp_path / "galaxies.zip").exists()


def test_a_server_that_is_not_there_is_no_fault_of_the_input(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    unused = DownloadServer()
    address = unused.address("/a")
    unused.stop()
    with pytest.raises(ResourceError, match="Connect call failed"):
        fetch(address, tmp_path)


def test_a_date_in_retry_after_is_waited_for(server, tmp_path):
    at = email.utils.format_datetime(
        datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2), usegmt=True
    )
    address = server.serve("/a", CONTENT, Manner(status=429, headers={"Retry-After": at}))
    began_s = time.monotonic()
    fetch(address, tmp_path)
    assert time.monotonic() - began_s > 0.9


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "manner",
    [
        Manner(raw=b"", drips=b"H"),
        Manner(raw=b"HTTP/1.1 200 OK\r\nX: ", drips=b"a"),
        Manner(raw=b"", drips=b"HTTP/1.1 100 Continue\r\n\r\n"),
        Manner(raw=CHUNKED, drips=b"0"),
        Manner(raw=CHUNKED + b"1\r\n" + CONTENT[:1] + b"\r\n0\r\n", drips=b"X: 1\r\n"),
        Manner(raw=b"HTTP/1.1 404 No\r\nX: ", drips=b"a"),
        Manner(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", drips=CONTENT),
        Manner(hold_after=50_000),
    ],
    ids=["status", "header", "interim answers", "length of a chunk", "trailer", "refusal", "body",
         "silence after half"],
)  # fmt: skip
def test_a_server_that_drips_or_stalls_is_left_for_the_next(server, tmp_path, manner):
    address = server.serve("/a", CONTENT, manner)
    quick = server.serve("/b", CONTENT)
    settings = replace(FAST, timeout_s=0.5, shortest_pause_s=2)

    fetched = fetch((address, quick), tmp_path, settings=settings, sha256=SHA256)

    assert [request.path for request in server.requests] == ["/a", "/b"]
    assert fetched.path.read_bytes() == CONTENT


PAGE = b" \r\n<!DOCTYPE html><title>Maintenance</title>"
PAGE_200 = Manner(
    raw=b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(PAGE), PAGE)
)


@pytest.mark.parametrize(
    "manner",
    [
        PAGE_200,
        Manner(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        Manner(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Manner(headers={"Content-Length": "9" * 5000}),
        Manner(headers={"Content-Length": "-5"}),
    ],
    ids=["page", "empty", "empty chunks", "no number", "less than nothing"],
)
def test_what_is_no_file_is_passed_over_though_nothing_is_known_of_it(server, tmp_path, manner):
    wrong = server.serve("/a", CONTENT, *[manner] * 9)
    right = server.serve("/b", CONTENT)
    fetched = fetch((wrong, right), tmp_path, settings=replace(FAST, shortest_pause_s=2))
    assert fetched.path.read_bytes() == CONTENT
    assert [request.path for request in server.requests] == ["/a", "/b"]


def test_a_web_page_is_named_and_does_not_cost_what_has_arrived(server, tmp_path):
    with pytest.raises(InputError, match="sends a web page in place of the file"):
        fetch(server.serve("/a", CONTENT, *[PAGE_200] * 9), tmp_path)
    address = server.serve("/a", CONTENT, Manner(cut_after=200_000), PAGE_200, PAGE_200)
    assert fetch(address, tmp_path, md5=MD5).received_bytes == len(CONTENT)


def test_a_file_that_is_only_called_a_web_page_is_a_file(server, tmp_path):
    address = server.serve("/a", CONTENT, Manner(headers={"Content-Type": "text/html"}))
    assert fetch(address, tmp_path).path.read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["/a.csv.gz", "/a.csv.gz?download=1"])
def test_a_gz_file_is_kept_as_it_is_where_the_server_calls_it_encoded(server, tmp_path, path):
    stated = [Manner(headers={"Content-Encoding": "x-gzip"})] * 9
    assert fetch(server.serve(path, CONTENT, *stated), tmp_path).sha256 == SHA256


def test_the_words_of_a_server_are_shown_short_and_as_text(server, tmp_path):
    answer = b"HTTP/1.1 404 \x1b[31mERROR " + b"a" * 3000 + b"\r\n\r\n"
    with pytest.raises(InputError, match=r"answers 404  \[31mERROR aaa") as raised:
        fetch(server.serve("/a", CONTENT, Manner(raw=answer)), tmp_path)
    assert len(str(raised.value)) < 700


def test_a_second_address_continues_where_the_first_ended(server, tmp_path):
    first = server.serve("/a", CONTENT, Manner(cut_after=100_000), *[Manner(status=500)] * 9)
    second = server.serve("/b", CONTENT, etag='"other server"')

    fetched = fetch((first, second), tmp_path, sha256=SHA256)

    assert fetched.received_bytes == server.sent_bytes == len(CONTENT)
    assert server.requests[-1].path == "/b"
    assert "If-Range" not in server.requests[-1].headers


def test_without_a_hash_the_second_address_begins_again_when_the_first_is_dead(server, tmp_path):
    first = server.serve("/a", CONTENT, Manner(cut_after=100_000), *[Manner(status=500)] * 9)
    second = server.serve("/b", OTHER)

    assert fetch((first, second), tmp_path).path.read_bytes() == OTHER

    assert [request.path for request in server.requests] == ["/a"] * 5 + ["/b"]


def test_an_address_with_another_file_is_passed_over(server, tmp_path):
    wrong, right = server.serve("/a", OTHER), server.serve("/b", CONTENT)
    assert fetch((wrong, right), tmp_path, md5=MD5).path.read_bytes() == CONTENT
    assert [request.path for request in server.requests] == ["/a", "/b"]


def test_a_wrong_beginning_from_one_address_is_not_blamed_on_another(server, tmp_path):
    """The first has an older file and breaks off each time; the second has the right one."""
    wrong = server.serve("/a", OTHER, *[Manner(cut_after=100_000, ignores_range=True)] * 9)
    right = server.serve("/b", CONTENT)
    assert fetch((wrong, right), tmp_path, md5=MD5).path.read_bytes() == CONTENT


def test_redirects_lead_to_another_host(server, tmp_path):
    server.serve("/b", CONTENT, Manner(cut_after=100_000))
    onward = Manner(status=302, headers={"Location": server.address("/b", host="localhost")})
    address = server.serve("/a", b"", onward, onward)

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
    secure.serve("/to_plain", b"", Manner(status=301, headers={"Location": f"{plain}?secret"}))
    host = {"host": "localhost"}

    with pytest.raises(InputError, match="certificate is not trusted"):
        fetch(secure.address("/a", **host), tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(InputError, match=r"redirects from https to http://127\.0\.0\.1\."):
        fetch(secure.address("/to_plain", **host), tmp_path)

    assert fetch(secure.address("/a", **host), tmp_path).sha256 == SHA256


def test_https_goes_directly_or_through_a_proxy(secure_server, server, tmp_path, monkeypatch):
    secure, certificate = secure_server
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    slow = Manner(piece_pause_s=0.3)
    address = secure.serve("/a", CONTENT[:40_000], slow, slow).replace("127.0.0.1", "localhost")
    assert fetch(address, tmp_path / "directly").received_bytes == 40_000
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("https_proxy", server.address(""))
    assert fetch(address, tmp_path / "proxy").received_bytes == 40_000
    assert [request.path for request in server.requests] == [address.split("/")[2]]
    assert len(secure.requests) == 2
