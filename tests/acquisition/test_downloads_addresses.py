"""Several addresses, redirects and https: where a file may come from."""

import datetime
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fixtures.download_inputs import CONTENT, MD5, OTHER, SHA256, fetch
from fixtures.download_server import DownloadServer, Manner

from galaxy_tasks.errors import InputError


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


def test_https_is_waited_for_directly_and_through_a_proxy(
    secure_server, server, tmp_path, monkeypatch
):
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
