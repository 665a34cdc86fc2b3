"""Prepares the cutout of every labelled galaxy as a network's input."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from galaxy_tasks.config import parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.images.batch import prepare_cutouts
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.storage import artifacts, cache_keys
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.atomic_io import read_json
from galaxy_tasks.storage.cache_keys import ReleaseFiles
from galaxy_tasks.training.galaxies import VOTES
from galaxy_tasks.training.vote_head import VOTES_JSON


def preprocess_images(
    settings: dict[str, Any], release_files: dict[str, Any], labels: dict[str, str]
) -> dict[str, str]:
    """Prepare every labelled cutout and return the reference of the images artifact."""
    config, files = parse_config(settings), ReleaseFiles(**release_files)
    labelled = Artifact.from_reference(labels)
    made_from = cache_keys.images_made_from(
        config, files, labels_content=labelled.manifest["summary"]["content"]
    )
    with artifacts.open_draft("images", made_from) as draft:
        if draft.published:
            _check_rejected(draft.published, config.max_rejected_fraction)
            return draft.published.as_reference()
        summary = prepare_cutouts(
            draft.path,
            galaxies=pd.read_parquet(labelled.path / "labels.parquet"),
            image_folders=[Path(part.images) for part in files.parts()],
            settings=ImageSettings.from_config(config),
            max_rejected_fraction=config.max_rejected_fraction,
            workers=config.image_workers,
        )
        classes = read_json(labelled.path / "classes.json")
        if config.target != "classes":
            _carry_votes(labelled.path, draft.path)
        return draft.publish(
            {**asdict(summary), "classes": classes, "labels": labelled.key}
        ).as_reference()


def _carry_votes(labels: Path, folder: Path) -> None:
    """Write the votes of the prepared galaxies, in their order, and what follows from them."""
    labelled, prepared = (
        pd.Index(pd.read_parquet(path, columns=["galaxy_id"])["galaxy_id"])
        for path in (labels / "labels.parquet", folder / "manifest.parquet")
    )
    votes = np.load(labels / VOTES, mmap_mode="r")
    np.save(folder / VOTES, votes[labelled.get_indexer(prepared)])
    shutil.copyfile(labels / VOTES_JSON, folder / VOTES_JSON)


def _check_rejected(images: Artifact, max_rejected_fraction: float) -> None:
    """Raise InputError if more was refused than this run allows; another run may allow more."""
    summary = images.manifest["summary"]
    if summary["rejected"] > max_rejected_fraction * summary["galaxies"]:
        raise InputError(
            f"{summary['rejected']} of {summary['galaxies']} images were refused when they were "
            f"prepared ({images.path / 'rejected.parquet'}); max_rejected_fraction allows "
            f"{max_rejected_fraction:.2%}."
        )
