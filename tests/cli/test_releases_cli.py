from pathlib import Path

import pytest
from fixtures.release_events import write_manifest
from typer.testing import CliRunner

from galaxy_tasks.cli.main import app
from galaxy_tasks.cli.releases import find_files
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.schema import VoteScheme
from galaxy_tasks.watch.announced import write_announced
from galaxy_tasks.watch.release_event import ReleaseEvent


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["releases", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def put_galaxy_zoo_2(folder: Path, *, images: int = 3) -> Path:
    (folder / "images").mkdir(parents=True)
    for number in range(images):
        (folder / "images" / f"{number}.jpg").touch()
    (folder / "images" / "README.txt").touch()
    for name in ("gz2_hart16.csv.gz", "gz2_filename_mapping.csv", "notes.txt"):
        (folder / name).touch()
    return folder


def test_the_list_has_a_line_for_each_release_with_rows_size_and_licence():
    lines = {line.split()[0]: line.split() for line in run("list").splitlines()}
    assert set(lines) == {"release", *RELEASES}
    assert lines["galaxy_zoo_desi"][1:] == ["8,670,000", "659", "MB", "CC", "BY", "4.0"]
    told = " ".join(lines["galaxy_zoo_2"])
    assert told == "galaxy_zoo_2 239,695 3,413 MB and 1 file of unstated size not stated"
    assert "59 MB and 4 archives, about 100 GB in all" in " ".join(lines["galaxy_zoo_decals"])
    assert lines["galaxy_zoo_hubble"][1:] == ["113,705", "not", "stated", "not", "stated"]
    assert lines["simulated"][1:] == ["-", "-", "-"]


@pytest.mark.parametrize("own_folder", ["", "galaxy_zoo_2"])
def test_the_list_says_what_lies_in_a_folder_or_in_the_releases_own(tmp_path, own_folder):
    put_galaxy_zoo_2(tmp_path / own_folder)
    output = run("list", "--folder", str(tmp_path))
    lines = {line.split()[0]: line for line in output.splitlines()}
    assert lines["galaxy_zoo_2"].endswith("gz2_hart16.csv.gz, gz2_filename_mapping.csv, 3 images")
    assert lines["galaxy_zoo_hubble"].endswith("nothing")


def test_what_the_workflow_would_miss_makes_it_incomplete(tmp_path):
    release = RELEASES["galaxy_zoo_2"]
    assert find_files(release, put_galaxy_zoo_2(tmp_path / "whole")).is_complete
    without_images = find_files(release, put_galaxy_zoo_2(tmp_path / "a", images=0))
    assert (without_images.images, without_images.is_complete) == (0, False)
    folder = put_galaxy_zoo_2(tmp_path / "b")
    (folder / "gz2_filename_mapping.csv").unlink()
    assert not find_files(release, folder).is_complete
    assert "(incomplete)" in run("show", "galaxy_zoo_2", "--folder", str(folder))


def test_images_without_a_table_are_nobodys(tmp_path):
    (put_galaxy_zoo_2(tmp_path) / "gz2_hart16.csv.gz").unlink()
    assert find_files(RELEASES["galaxy_zoo_desi"], tmp_path).images == 0


@pytest.mark.parametrize("name", RELEASES)
def test_a_release_is_shown_with_its_citation_and_every_threshold(name):
    output = run("show", name)
    release = RELEASES[name]
    assert release.citation in output
    assert release.image_source in output
    assert all(file.name in output for file in release.files)
    for scheme in release.schemes.values():
        if isinstance(scheme, VoteScheme):
            for criterion in (c for rule in scheme.rules for c in rule.criteria):
                assert f"{criterion.column} >= {criterion.minimum:g}  (" in output


def test_both_tables_of_a_release_are_counted_and_fetching_is_left_to_the_command():
    lines = {line.split()[0]: line for line in run("list").splitlines()}
    assert "92,960 + 253,286" in lines["galaxy_zoo_decals"]
    output = run("show", "galaxy_zoo_decals")
    other = "with --catalogue-file gz_decals_volunteers_5.parquet 253,286 instead"
    assert f"92,960; {other}" in output
    assert "'releases fetch' puts them into one folder 'images'" in output


def test_addresses_and_checksums_are_shown():
    output = run("show", "galaxy_zoo_2")
    address = "https://zenodo.org/records/3565489/files/images_gz2.zip"
    assert f"images_gz2.zip (3,400 MB, md5 bc647032d31e50c798770cf4430525c7): {address}" in output
    assert "training_solutions_rev1.csv (size not stated): only by hand" in run(
        "show", "galaxy_zoo_challenge"
    )


def test_an_unknown_release_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(InputError, match=r"No release 'galaxy_zoo_9'\. Choose among: simulated,"):
        run("show", "galaxy_zoo_9")
    with pytest.raises(InputError, match="does not exist"):
        run("list", "--folder", str(tmp_path / "no"))


def test_what_was_announced_is_listed(tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_RELEASES_FOLDER", str(tmp_path))
    assert "Nothing was announced" in run("announced")
    one, two = ReleaseEvent("one", {}), ReleaseEvent("two", {})
    write_announced(tmp_path, [one, two], {one.key: "manual__1"})
    write_manifest(tmp_path, "wrong", settings="epochs = 0")
    taken, waiting, refused, *_ = run("announced").splitlines()
    assert taken == "taken    one, by run manual__1"
    assert waiting == "waiting  two"
    assert refused.startswith("refused  wrong.toml: ")
