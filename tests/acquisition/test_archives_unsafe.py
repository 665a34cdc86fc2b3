"""An archive that is unsafe is refused before anything is written."""

import gzip
import stat
import tarfile
import zipfile

import pytest
from fixtures.archive_inputs import FILES, LIMITS, content_of, make_tar, make_zip, unpack

from galaxy_tasks.acquisition.zip_reader import open_members
from galaxy_tasks.errors import InputError


def zip_entry(name, mode=0o100644):
    info = zipfile.ZipInfo(name)
    info.filename = info.orig_filename = name
    info.external_attr = mode << 16
    return info


def tar_entry(name, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = "/etc/passwd"
    return info


@pytest.mark.parametrize(
    "name",
    [
        "../out.txt",
        "images/../../out.txt",
        "/etc/out.txt",
        "C:/out.txt",
        "..\\out.txt",
        "a\nb",
        ".unpacking/member",
        "x" * 256,
    ],
)
def test_names_that_lead_elsewhere_are_refused_before_a_byte_is_written(
    make_archive, tmp_path, name
):
    archive = make_archive({**FILES, name: b"evil"})
    with pytest.raises(InputError, match=r"member .* (absolute|leads out|unfinished|longer)"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("out.txt"))


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_a_zip_with_links_or_devices_is_refused(tmp_path, mode):
    entries = [("good", b"1"), (zip_entry("bad", mode | 0o777), b"/etc/passwd")]
    archive = make_zip(tmp_path / "a.zip", entries)
    with pytest.raises(InputError, match="'bad' is a link or a device"):
        unpack(archive, tmp_path / "out")
    with pytest.raises(InputError, match="'bad' is a link or a device"):
        open_members(archive, **LIMITS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_a_tar_with_links_or_devices_is_refused(tmp_path, kind):
    entries = [("good", b"1"), (tar_entry("bad", kind), b"")]
    with pytest.raises(InputError, match="'bad' is a link, a device"):
        unpack(make_tar(tmp_path / "a.tar.gz", entries), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # said by zipfile as we write one
@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["a", "a"], "'a' comes twice"),
        (["a", "./a"], "'a' comes twice"),
        (["images/b", "images//b"], "comes twice"),
        (["c", "c/d"], "'c' is a file and a folder"),
        (["c/d/e", "c"], "'c' is a file and a folder"),
    ],
)
def test_a_name_that_comes_twice_is_refused(make_archive, tmp_path, names, what):
    archive = make_archive([(name, b"1") for name in names])
    with pytest.raises(InputError, match=what):
        unpack(archive, tmp_path / "out")


def test_more_than_expected_is_refused(make_archive, tmp_path):
    archive = make_archive(FILES)
    with pytest.raises(InputError, match=r"more than the 500\.0 kB expected"):
        unpack(archive, tmp_path / "out", max_total_bytes=500_000)
    assert not (tmp_path / "out").exists()


def test_a_bomb_is_told_by_its_ratio(tmp_path):
    zeros = {"zeros": bytes(20_000_000)}
    for archive in (make_zip(tmp_path / "a.zip", zeros), make_tar(tmp_path / "a.tar.gz", zeros)):
        with pytest.raises(InputError, match="higher ratio than expected"):
            unpack(archive, tmp_path / "out", max_total_bytes=10**9)
    assert not (tmp_path / "out").exists()


def test_a_bomb_of_empty_members_or_of_one_header_is_told_too(tmp_path):
    many = make_tar(tmp_path / "many.tar.gz", {f"{n:06}": b"" for n in range(20_000)})
    with pytest.raises(InputError, match="higher ratio"):
        unpack(many, tmp_path / "out", max_ratio=20)
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**32
    giant = tmp_path / "giant.tar.gz"
    giant.write_bytes(gzip.compress(header.tobuf() + bytes(2**20)))
    with pytest.raises(InputError, match="a header of 4294967296 bytes"):
        unpack(giant, tmp_path / "out")


def test_a_zip_that_understates_a_member_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"a": b"0" * 5000})
    told, untold = (5000).to_bytes(4, "little"), (50).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(told, untold))
    with pytest.raises(InputError, match="damaged"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out" / "a").exists()
    with open_members(archive, **LIMITS) as members, pytest.raises(InputError, match="wrong size"):
        members.read("a")


def test_links_and_files_already_in_the_way_are_not_followed(make_archive, tmp_path):
    archive, elsewhere = make_archive(FILES), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "table.csv").write_text("mine")
    for name, there in [("link", elsewhere), ("file", None)]:
        folder = tmp_path / name
        folder.mkdir()
        if there:
            (folder / "images").symlink_to(there)
        else:
            (folder / "images").write_text("mine")
        with pytest.raises(InputError, match="something else is there"):
            unpack(archive, folder)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "table.csv").symlink_to(elsewhere / "table.csv")
    unpack(archive, folder)
    assert content_of(elsewhere) == {"table.csv": b"mine"}
    assert content_of(folder) == FILES
    (folder / "table.csv").unlink()
    (folder / "table.csv").mkdir()
    with pytest.raises(InputError, match="needs a file here"):
        unpack(archive, folder)


def test_an_encrypted_zip_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"a": b"1"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\1\2", content.index(b"PK\1\2") + 4) + 8] |= 1  # of the second entry
    archive.write_bytes(content)
    with pytest.raises(InputError, match="'a' is encrypted"):
        unpack(archive, tmp_path / "out")
