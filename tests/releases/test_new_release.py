"""Adding a release is what the documentation says it is: its own lines are taken and run."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.config import parse_config
from galaxy_tasks.storage.atomic_io import read_json
from galaxy_tasks.watch.inbox import read_manifest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "releases.md").read_text()

# The function to call, its arguments, and where its result goes: as the command line does it.
PROGRAM = """
import json, sys
from galaxy_tasks.cli.workflow import clean_labels
from galaxy_tasks.config import form_schemas
from galaxy_tasks.pipeline.prepare_release import prepare_release
from galaxy_tasks.pipeline.preprocess_images import preprocess_images

settings = json.loads(sys.argv[1])
files = prepare_release(settings)
labels = clean_labels(settings, files)
images = preprocess_images(settings, files, labels)
print(json.dumps({"images": images["path"], "form": form_schemas("full")["release"]["enum"]}))
"""


def read_section(title: str) -> str:
    (section,) = re.findall(rf"^## {title}\n(.*?)(?=^## )", TEXT, re.DOTALL | re.MULTILINE)
    return section


def read_blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def count_lines(text: str) -> int:
    return len([line for line in text.splitlines() if line.strip()])


def draw_image(path: Path, *, seed: int) -> None:
    """Draw a round blob of light, as large as cutouts are small."""
    y, x = np.mgrid[-20:20, -20:20] / 6
    light = 200 * np.exp(-(x**2 + y**2)) + np.random.default_rng(seed).uniform(0, 20, x.shape)
    Image.fromarray(light.astype(np.uint8)).convert("RGB").save(path)


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the package with the documentation's file and line put in."""
    folder = tmp_path_factory.mktemp("copy")
    package = folder / "galaxy_tasks"
    shutil.copytree(ROOT / "galaxy_tasks", package, ignore=shutil.ignore_patterns("__pycache__"))
    section = read_section("Add a release in ten lines")
    (file_content,), (line,) = read_blocks(section, "python"), read_blocks(section, "text")
    (new_file,) = re.findall(r"`(galaxy_zoo_example\.py)`", section)
    (catalogues,) = re.findall(r"`(galaxy_tasks/releases/catalogues/)`", section)
    (old_file,) = re.findall(r"`(galaxy_tasks/releases/__init__\.py)`", section)
    (folder / catalogues / new_file).write_text(file_content)
    old = (folder / old_file).read_text()
    assert count_lines(line) == 1
    (folder / old_file).write_text(old.replace("NAMES = (\n", f"NAMES = (\n{line}", 1))
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A made-up release: 40 ellipticals, 30 spirals, and ten rows that are neither or have a flaw.

    Columns objid, smooth, arms, n; the limits of the documentation are 0.8, 0.6 and 20 volunteers.
    """
    rows = [
        *[(1000 + number, 0.8, 0.1, 20) for number in range(40)],
        *[(2000 + number, 0.1, 0.6, 45) for number in range(30)],
        *[(3000 + number, 0.79, 0.59, 45) for number in range(4)],  # neither
        *[(4000 + number, 0.95, 0.0, 19) for number in range(2)],  # too few volunteers
        (5000, 0.9, 0.9, 45),  # both
        (6000, 1.5, 0.0, 45),  # no share
        (7000, 0.9, 0.0, 45),  # has no image
        (1000, 0.8, 0.1, 20),  # once more
    ]
    folder = tmp_path_factory.mktemp("source")
    table = pd.DataFrame(rows, columns=["objid", "smooth", "arms", "n"])
    table.to_csv(folder / "galaxy_zoo_example.csv", index=False)
    (folder / "images").mkdir()
    for galaxy_id in {row[0] for row in rows} - {7000}:
        draw_image(folder / "images" / f"{galaxy_id}.png", seed=galaxy_id)
    return folder


def run_python(copy: Path, *arguments: str) -> str:
    """Run Python with the copy of the package and return what it prints."""
    result = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "GALAXY_HOME": str(copy / "runs")},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def prepared(copy, source) -> dict:
    """What the program says of the prepared images, after labels cleaned by a real Spark."""
    settings = {"release": "galaxy_zoo_example", "source": str(source), "image_size_px": 32}
    log = run_python(copy, "-c", PROGRAM, json.dumps({**settings, "image_workers": 1}))
    return json.loads(log.splitlines()[-1])


def test_the_file_has_ten_lines():
    (file_content,) = read_blocks(read_section("Add a release in ten lines"), "python")
    assert count_lines(file_content) == 10


def test_every_row_of_the_new_release_is_a_class_or_a_reason(copy, prepared):
    (manifest,) = (copy / "runs" / "labels").glob("*/manifest.json")
    summary = read_json(manifest)["summary"]
    assert summary["rows_in"] == 80
    assert summary["kept"] == 70
    assert summary["dropped"] == {
        "unreadable": 1,
        "contested_no_rule": 6,
        "contested_several_rules": 1,
        "duplicate": 1,
        "no_image": 1,
    }
    by_class = {name: sum(splits.values()) for name, splits in summary["classes"].items()}
    assert by_class == {"elliptical": 40, "spiral": 30}


def test_images_of_the_new_release_are_prepared_with_their_class(prepared):
    folder = Path(prepared["images"])
    manifest = pd.read_parquet(folder / "manifest.parquet")
    assert np.load(folder / "images.npy").shape == (70, 32, 32, 3)
    numbers = manifest["galaxy_id"].astype(int)
    expected = numbers.between(1000, 1039).map({True: "elliptical", False: "spiral"})
    assert manifest["label"].tolist() == expected.tolist()
    assert set(manifest["split"]) == {"train", "validation", "test"}


def test_the_trigger_form_and_the_list_show_the_new_release(copy, prepared):
    assert "galaxy_zoo_example" in prepared["form"]
    releases = run_python(copy, "-m", "galaxy_tasks.cli.main", "releases", "list")
    assert "galaxy_zoo_example" in [line.split()[0] for line in releases.splitlines()]
    shown = run_python(
        copy, "-m", "galaxy_tasks.cli.main", "releases", "show", "galaxy_zoo_example"
    )
    assert re.search(r"cite: +https://doi.org/10.0000/example$", shown, re.MULTILINE)
    assert "arms >= 0.6" in shown


def test_without_code_a_manifest_of_ten_lines_does_it(tmp_path):
    (text,) = read_blocks(read_section("Add a release without code"), "toml")
    assert count_lines(text) == 10
    path = tmp_path / "example.toml"
    path.write_text(text)
    settings = read_manifest(path).settings
    source = tmp_path / "source"
    (source / "cutouts").mkdir(parents=True)
    (source / "cutouts" / "1.png").touch()
    (source / "morphology.csv").write_text("objid,morphology\n1,spiral\n")
    files = locate_release(parse_config({**settings, "source": str(source)}))
    assert Path(files.catalogue) == source / "morphology.csv"
    assert Path(files.images) == source / "cutouts"


def test_the_manifest_of_several_releases_is_accepted(tmp_path):
    (block,) = read_blocks(read_section("Several releases in one run"), "toml")
    path = tmp_path / "several.toml"
    path.write_text(block)
    parts = parse_config(read_manifest(path).settings).parts()
    assert [part.source for part in parts] == ["/data/galaxy_zoo_challenge", "/data/galaxy_zoo_1"]
    assert parts[1].class_names["spiral_clockwise"] == "spiral"
