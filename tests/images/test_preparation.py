"""Prepared images and their manifest belong together, and nothing is done twice."""

import re
import subprocess
import sys
import textwrap
from dataclasses import asdict, replace
from hashlib import sha256

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fixtures.preparation_inputs import (
    ROOT,
    SETTINGS,
    contents,
    encode,
    make_galaxies,
    prepare,
)

from galaxy_tasks.images.prepare import prepare_image
from galaxy_tasks.images.progress import ImageProgress

REAL = ROOT.parent / "shared" / "data" / "galaxy_zoo_challenge"


def test_images_and_manifest_are_in_the_order_of_the_ids_and_belong_together(tmp_path):
    galaxies = make_galaxies(tmp_path / "in", 150)
    summary = prepare(tmp_path / "out", galaxies, tmp_path / "in")
    images = np.load(tmp_path / "out" / "images.npy", mmap_mode="r")
    manifest = pd.read_parquet(tmp_path / "out" / "manifest.parquet")
    assert images.shape == (150, 32, 32, 3)
    assert images.dtype == np.uint8
    assert list(manifest.columns) == [
        *("galaxy_id", "label", "label_index", "split", "group"),
        *("source_file", "sha256", "width_px", "height_px", "colours"),
    ]
    assert list(manifest["galaxy_id"]) == sorted(galaxies["galaxy_id"])
    for row, image in zip(manifest.itertuples(), images, strict=True):
        number = int(row.galaxy_id[5:])
        data = (tmp_path / "in" / f"{number}.jpg").read_bytes()
        assert row.source_file == f"{number}.jpg"
        assert row.label_index == number % 2
        assert row.sha256 == sha256(data).hexdigest()
        assert (row.width_px, row.height_px, row.colours) == (48, 48, "8-bit colour")
        assert (image == prepare_image(data, SETTINGS)).all()
    assert (summary.galaxies, summary.prepared, summary.rejected) == (150, 150, 0)


def test_the_number_of_workers_and_the_kind_of_table_change_no_byte(tmp_path):
    galaxies = make_galaxies(tmp_path / "in", 200)
    shuffled = pa.Table.from_pandas(galaxies.sample(frac=1, random_state=4))
    prepare(tmp_path / "one", galaxies, tmp_path / "in", workers=1)
    prepare(tmp_path / "three", shuffled, tmp_path / "in", workers=3)
    assert contents(tmp_path / "one") == contents(tmp_path / "three")


def test_a_finished_folder_is_not_prepared_again(tmp_path, caplog):
    galaxies = make_galaxies(tmp_path / "in", 70)
    first = prepare(tmp_path / "out", galaxies, tmp_path / "in")
    before = contents(tmp_path / "out")
    caplog.clear()
    assert prepare(tmp_path / "out", galaxies, tmp_path / "in") == first
    assert "Preparing" not in caplog.text
    assert contents(tmp_path / "out") == before


def test_another_setting_prepares_anew(tmp_path):
    galaxies = make_galaxies(tmp_path / "in", 70)
    prepare(tmp_path / "out", galaxies, tmp_path / "in")
    other = replace(SETTINGS, image_size_px=40)
    prepare(tmp_path / "out", galaxies, tmp_path / "in", settings=other)
    images = np.load(tmp_path / "out" / "images.npy", mmap_mode="r")
    assert images.shape == (70, 40, 40, 3)


def test_the_log_shows_progress_and_the_sizes_of_the_sources(tmp_path, caplog):
    galaxies = make_galaxies(tmp_path / "in", 12)
    (tmp_path / "in" / "0.jpg").write_bytes(encode(1, width_px=30, height_px=20))
    (tmp_path / "in" / "1.jpg").write_bytes(encode(1, width_px=300, height_px=200))
    summary = prepare(tmp_path / "out", galaxies, tmp_path / "in")
    sizes = summary.source_sizes
    assert (sizes.min_width_px, sizes.median_width_px, sizes.max_width_px) == (30, 48, 300)
    assert (sizes.min_height_px, sizes.median_height_px, sizes.max_height_px) == (20, 48, 200)
    assert sizes.most_common == {"48×48": 10, "30×20": 1, "300×200": 1}
    assert asdict(summary)["source_sizes"]["most_common"]["48×48"] == 10
    progress = r"images 12 / 12 \(100\.0 %\), [\d,.]+ images/s, 0\.0 s left"
    assert re.search(progress, caplog.text)
    assert "width 30 / 48 / 300 px, height 20 / 48 / 200 px" in caplog.text


def test_a_progress_line_counts_only_this_attempt_in_its_speed():
    progress = ImageProgress(60_000, done_before=345)
    progress.done = 12_345
    line = progress.describe(6.0)
    assert line == "images 12,345 / 60,000 (20.6 %), 2,000 images/s, 24 s left"


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    galaxies = make_galaxies(tmp_path / "in", 12)
    many = pd.concat(
        [
            galaxies.assign(galaxy_id=f"{number:04d}-" + galaxies["galaxy_id"])
            for number in range(50)
        ]
    )
    many.to_parquet(tmp_path / "galaxies.parquet")
    code = f"""
    import resource, sys
    from pathlib import Path
    import pandas as pd
    from galaxy_tasks.config import RunConfig
    from galaxy_tasks.images.settings import ImageSettings
    from galaxy_tasks.images.batch import prepare_cutouts
    from tests.fixtures.peak_memory import read_peak_kib
    table = pd.read_parquet({str(tmp_path / "galaxies.parquet")!r})
    settings = ImageSettings.from_config(RunConfig(image_size_px=384, denoise_method="none"))
    for count in (120, 600):
        out = Path({str(tmp_path)!r}, str(count))
        out.mkdir()
        prepare_cutouts(out, galaxies=table.head(count), settings=settings, workers=1,
                        image_folders=[Path({str(tmp_path / "in")!r})], max_rejected_fraction=0)
        child_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        print("peak", read_peak_kib(), child_kib)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    peaks = re.findall(r"peak (\d+) (\d+)", result.stdout)
    (parent_few, child_few), (parent_many, child_many) = [map(int, peak) for peak in peaks]
    # 480 more images are 212 MB more of output.
    assert parent_many - parent_few < 40_000
    assert child_many - child_few < 40_000


def test_real_galaxies_are_prepared(tmp_path):
    paths = sorted((REAL / "images_training_rev1").glob("*.jpg"))[:70]
    if not paths:
        pytest.skip("no real galaxies in shared/data/galaxy_zoo_challenge")
    table = pd.DataFrame(
        {
            "galaxy_id": [path.stem for path in paths],
            "image_name": [path.name for path in paths],
            "label": "spiral",
            "label_index": 0,
            "split": "train",
        }
    )
    summary = prepare(tmp_path / "out", table, paths[0].parent, workers=0)
    assert summary.prepared == 70
    assert summary.source_sizes.most_common == {"424×424": 70}
    images = np.load(tmp_path / "out" / "images.npy", mmap_mode="r")
    # A galaxy is in the middle: brighter there than at the rim.
    assert (images[:, 12:20, 12:20].mean(axis=(1, 2, 3)) > images[:, 0].mean(axis=(1, 2)) + 5).all()


def test_converted_images_are_counted_in_log_and_summary(tmp_path, caplog):
    caplog.set_level("INFO", logger="galaxy_tasks")
    galaxies = make_galaxies(tmp_path / "in", 30)
    grey = cv2.imencode(".jpg", np.full((48, 48), 9, np.uint8))[1].tobytes()
    for number in range(5):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(grey)
    summary = prepare(tmp_path / "out", galaxies, tmp_path / "in")
    assert (summary.prepared, summary.converted) == (30, {"8-bit greyscale": 5})
    assert "Converted to 8-bit colour by docs/images.md: 8-bit greyscale 5" in caplog.messages
