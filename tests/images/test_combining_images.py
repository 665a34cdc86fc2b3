"""Images of several releases in one run."""

import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from fixtures.combining_inputs import draw_galaxies, write_release

from galaxy_tasks.config import parse_config
from galaxy_tasks.pipeline.clean_labels import clean_labels
from galaxy_tasks.pipeline.prepare_release import prepare_release
from galaxy_tasks.pipeline.preprocess_images import preprocess_images
from galaxy_tasks.storage.cache_keys import ReleaseFiles


def test_images_of_all_releases_are_prepared_from_a_folder_and_a_zip(spark, tmp_path, monkeypatch):
    """One release has its images in a folder and the other in a zip, with the same names."""
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    sources = []
    for name, grey in (("one", 60), ("two", 180)):
        rows = draw_galaxies(1000, ra_shift_degrees=0 if name == "one" else 200).head(60)
        levels = {row.id: grey + index % 50 for index, row in enumerate(rows.itertuples())}
        rows["image"] = [encode_flat_image(levels[galaxy_id]) for galaxy_id in rows["id"]]
        sources.append((write_release(tmp_path / name, rows), levels))
    pack(tmp_path / "two" / "images")
    values = parse_config(
        {
            "release": "class_table",
            "source": str(tmp_path / "one"),
            "combine": [{"release": "class_table", "source": str(tmp_path / "two")}],
            "image_size_px": 32,
            "denoise_method": "none",
            "image_workers": 1,
        }
    ).model_dump(mode="json")
    files = prepare_release(values)
    assert files["combined"][0]["images"].endswith("images.zip")
    labels = clean_labels(parse_config(values), ReleaseFiles(**files), spark=spark)
    reference = preprocess_images(values, files, labels=labels.as_reference())
    pixels = np.load(Path(reference["path"]) / "images.npy")
    manifest = pd.read_parquet(Path(reference["path"]) / "manifest.parquet")
    assert len(manifest) == len(pixels) == 120
    for row, galaxy_id in enumerate(manifest["galaxy_id"]):
        release, own_id = galaxy_id.split(":")
        levels = sources[release == "class_table_2"][1]
        assert pixels[row].mean() == levels[own_id]


def encode_flat_image(level: int) -> bytes:
    return cv2.imencode(".png", np.full((40, 40, 3), level, dtype=np.uint8))[1].tobytes()


def pack(folder: Path) -> None:
    """Put a folder's images into a zip beside it, and remove the folder."""
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    shutil.rmtree(folder)
