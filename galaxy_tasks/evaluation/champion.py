"""The champion that a run is compared with: its artifacts, and the galaxies it learned from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from galaxy_tasks.config import RunConfig
from galaxy_tasks.labels.crossmatch import (
    chain_places,
    drop_placeholders,
    group_linked,
    link_equals,
    link_ids,
    measure_separations,
)
from galaxy_tasks.releases.shared_objects import explain_overlaps, find_hidden_overlaps
from galaxy_tasks.storage import artifacts, cache_keys
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.training.ancestry import trace_related
from galaxy_tasks.training.model_record import ModelRecord, read_record

PROBABILITIES, CALIBRATED = "probabilities.npy", "calibrated.npy"
GALAXIES = "galaxies.parquet"
"""Names of the files of a champion's predictions."""

COLUMNS = (
    *("galaxy_id", "own_id", "image_name", "label", "split"),
    *("release_index", "ra_degrees", "dec_degrees", "sha256", "row"),
)

UNRELATED_ARCSEC = 300.0
"""Our choice: entries of one id that are further apart are two galaxies. Centres of one galaxy, or
rounded positions of it, differ by arcseconds, those of the largest by an arcminute or two."""


@dataclass(frozen=True)
class Champion:
    """A model of an earlier run, with all that it was made from."""

    evaluation: Artifact
    """The evaluation that put it forward."""
    model: Artifact
    images: Artifact
    labels: Artifact
    record: ModelRecord
    test_time_augmentation: int
    """Orientations averaged in that evaluation."""

    @property
    def published(self) -> str:
        """When it was evaluated, in UTC as ISO 8601."""
        return self.evaluation.manifest["published"]


def open_champion(evaluation_key: str, model_key: str) -> Champion:
    """Return the model that an evaluation put forward, with all that it was made from.

    Raises:
        InputError: some of that is gone, was changed or is of another version.
    """
    evaluation, model = (
        artifacts.get("evaluations", evaluation_key),
        artifacts.get("models", model_key),
    )
    artifacts.verify(model)
    images = artifacts.get("images", model.manifest["made_from"]["images"])
    champion = Champion(
        evaluation=evaluation,
        model=model,
        images=images,
        labels=artifacts.get("labels", images.manifest["summary"]["labels"]),
        record=read_record(model.path),
        test_time_augmentation=evaluation.manifest["made_from"]["test_time_augmentation"],
    )
    _ = champion.record.config  # settings of another version may be refused
    return champion


def has_evaluated(evaluation_key: str, config: RunConfig, images_key: str) -> bool:
    """Return whether an evaluation is of the very models that such a run trains."""
    own = {
        artifacts.key_of(
            cache_keys.model_made_from(config.for_training(seed), images_key, architecture)
        )
        for architecture in config.architectures
        for seed in config.training_seeds
    }
    try:
        evaluation = artifacts.get("evaluations", evaluation_key)
        return set(evaluation.manifest["made_from"]["models"]) == own
    except (ValueError, KeyError, TypeError):  # gone or damaged
        return False


def read_galaxies(labels: Artifact, images: Artifact) -> pd.DataFrame:
    """Return the prepared galaxies of a run: COLUMNS, `row` being that of images.npy.

    `own_id` is the id as the galaxy's release has it; places are NaN where unknown.
    """
    table = pd.read_parquet(labels.path / "labels.parquet")
    prepared = pd.read_parquet(images.path / "manifest.parquet", columns=["galaxy_id", "sha256"])
    prepared["row"] = np.arange(len(prepared))
    joined = table.merge(prepared, on="galaxy_id", how="inner", validate="one_to_one")
    return joined[list(COLUMNS)]


def group_same(tables: Sequence[pd.DataFrame], *, radius_arcsec: float) -> list[NDArray[np.int64]]:
    """Return for each table one number a row, alike for rows of all tables that are one galaxy.

    The same are rows near each other on the sky, of one id, or of one image.
    """
    whole = pd.concat(tables, ignore_index=True)
    ra, dec = _read_places(whole)
    links = [
        chain_places(ra, dec, radius_arcsec=radius_arcsec),
        link_ids(
            pa.array(whole["own_id"], pa.string()),
            ra_degrees=ra,
            dec_degrees=dec,
            radius_arcsec=radius_arcsec,
        ),
        link_equals(pa.array(drop_placeholders(whole["sha256"].tolist()), pa.string())),
    ]
    groups = group_linked(len(whole), links)
    ends = np.cumsum([len(table) for table in tables])[:-1]
    return list(np.split(groups, ends))


def read_known(champion: Champion) -> pd.DataFrame:
    """Return the galaxies of the champion's run and of its ancestors', as `read_galaxies` does."""
    ancestors = trace_related(champion.record.config)
    sources = [(champion.labels, champion.images), *((a.labels, a.images) for a in ancestors)]
    return pd.concat([read_galaxies(*pair) for pair in sources], ignore_index=True)


def find_unseen(
    galaxies: pd.DataFrame, champion: pd.DataFrame, *, radius_arcsec: float
) -> NDArray[np.bool_]:
    """Return which galaxies the champion has not learned from, in training or validation.

    In doubt it has: any position, image or id (see `share_ids`) shared with a galaxy that it
    learned from counts, even one that many galaxies share.
    """
    whole = pd.concat([galaxies, champion], ignore_index=True)
    links = [
        chain_places(*_read_places(whole), radius_arcsec=radius_arcsec),
        link_equals(pa.array(whole["sha256"], pa.string())),
    ]
    own, theirs = np.split(group_linked(len(whole), links), [len(galaxies)])
    is_learned = (champion["split"] != "test").to_numpy()
    is_known = np.isin(own, theirs[is_learned]) | share_ids(galaxies, champion[is_learned])
    return ~np.isin(own, own[is_known])


def share_ids(galaxies: pd.DataFrame, others: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which galaxies have an id of the others, unless all positions show them to be apart.

    Row numbers of two tables are unrelated, and their galaxies degrees apart. Where the separation
    is unknown, or at most UNRELATED_ARCSEC, an id counts.
    """
    whole = pd.concat([galaxies, others], ignore_index=True)
    rows = whole[["own_id"]].assign(row=np.arange(len(whole)))
    pairs = rows.head(len(galaxies)).merge(rows.iloc[len(galaxies) :], on="own_id")
    links = pairs[["row_x", "row_y"]].to_numpy(dtype=np.int64)
    ra, dec = _read_places(whole)
    apart = measure_separations(links, ra_degrees=ra, dec_degrees=dec)
    # Without a place the separation is no number, and no number is larger.
    return np.isin(np.arange(len(galaxies)), links[~(apart > UNRELATED_ARCSEC), 0])


def _read_places(table: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return table["ra_degrees"].to_numpy(np.float64), table["dec_degrees"].to_numpy(np.float64)


@dataclass(frozen=True)
class Doubt:
    """What is uncertain about galaxies that the champion seems not to have learned from."""

    num_uncertain: int
    """Galaxies judged by id and image alone, as positions are not known on both sides."""
    may_know: str
    """Why it may have learned from some of them all the same; empty: no reason is known."""

    def describe(self) -> str:
        """Return a sentence or two for the log, after a blank; '' without a doubt."""
        lines = ""
        if self.num_uncertain:
            lines += (
                f" {self.num_uncertain:,} of these were judged by id and image alone, as positions "
                "are not known on both sides."
            )
        return lines + (f" It may know some of them: {self.may_know}." if self.may_know else "")


def assess_doubt(
    config: RunConfig, champion_config: RunConfig, unseen: pd.DataFrame, champion: pd.DataFrame
) -> Doubt:
    """Return what is uncertain about galaxies that the champion seems not to have learned from.

    Args:
        config: this run's settings.
        champion_config: the champion's.
        unseen: the galaxies, as `read_galaxies` returns them.
        champion: the galaxies that it and its ancestors know, likewise.
    """
    learned = champion[champion["split"] != "test"]
    is_uncertain = unseen["ra_degrees"].isna() | bool(learned["ra_degrees"].isna().any())
    ancestors = [one.record.config for one in trace_related(champion_config)]
    names = [
        [part.release for one in configs for part in one.parts()]
        for configs in ([config], [champion_config, *ancestors])
    ]
    overlaps = find_hidden_overlaps(*names) if is_uncertain.any() else []
    return Doubt(int(is_uncertain.sum()), explain_overlaps(overlaps))
