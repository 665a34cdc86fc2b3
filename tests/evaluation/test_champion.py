"""Which galaxies a champion has learned from, and on which classes two winners meet."""

from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fixtures.trained_inputs import make_record

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.challenge import LEAST_GALAXIES, _explain, _find_ground, _Tables
from galaxy_tasks.evaluation.champion import (
    COLUMNS,
    Champion,
    Doubt,
    find_unseen,
    group_same,
    read_known,
)
from galaxy_tasks.evaluation.drift import _compare_labels
from galaxy_tasks.releases.morphology import name_kind
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.atomic_io import write_json
from galaxy_tasks.training.model_record import MODEL

ARCSEC = 1 / 3600


def table(rows):
    """Rows of (own_id, ra, dec, sha256, split, label) as `read_galaxies` gives them."""
    columns = ["own_id", "ra_degrees", "dec_degrees", "sha256", "split", "label"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["galaxy_id"] = frame["own_id"]
    frame["image_name"] = frame["own_id"] + ".jpg"
    frame["release_index"] = 0
    frame["row"] = range(len(frame))
    return frame[list(COLUMNS)]


def tables(rows):
    return _Tables(np.array(rows), np.array(rows))


CHAMPION = table(
    [
        ("1", 10.0, 0.0, "a", "train", "spiral"),
        ("2", 20.0, 0.0, "b", "validation", "spiral"),
        ("3", 30.0, 0.0, "c", "test", "edge_on"),
        ("4", np.nan, np.nan, "d", "train", "edge_on"),
        ("5", 50.0, 0.0, "e", "train", "edge_on"),
    ]
)
GALAXIES = table(
    [
        ("x", 10.0, 1.9 * ARCSEC, "p", "test", "spiral"),  # by place, trained on
        ("y", 20.0, 2.1 * ARCSEC, "q", "test", "spiral"),  # just too far from one
        ("z", 70.0, 0.0, "b", "test", "edge_on"),  # by image, chosen by
        ("3", 30.0, 0.0, "c", "test", "spiral"),  # in its test, too: not learned from
        ("4", 90.0, 0.0, "s", "test", "edge_on"),  # by id, trained on, its place unknown
        ("w", np.nan, np.nan, "t", "test", "edge_on"),  # unknown
    ]
)


def test_learned_from_is_what_shares_place_id_or_image_with_train_or_validation():
    unseen = find_unseen(GALAXIES, CHAMPION, radius_arcsec=2.0)
    assert dict(zip(GALAXIES["own_id"], unseen.tolist(), strict=True)) == {
        "x": False,
        "y": True,
        "z": False,
        "3": True,
        "4": False,
        "w": True,
    }


def publish_galaxies(name: str, rows: pd.DataFrame, config: RunConfig) -> tuple[Artifact, ...]:
    """Publish labels and prepared images of these galaxies, and a network's record."""
    with artifacts.open_draft("labels", {"name": name}) as draft:
        rows.drop(columns=["sha256", "row"]).to_parquet(draft.path / "labels.parquet")
        labels = draft.publish()
    with artifacts.open_draft("images", {"name": name}) as draft:
        rows[["galaxy_id", "sha256"]].to_parquet(draft.path / "manifest.parquet")
        images = draft.publish({"labels": labels.key})
    with artifacts.open_draft("models", {"images": images.key}) as draft:
        write_json(draft.path / MODEL, asdict(make_record(config)))
        return draft.publish(), images, labels


def test_what_its_ancestors_learned_from_it_has_learned_from(tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    first, *_ = publish_galaxies("first", CHAMPION, RunConfig(release="galaxy_zoo_1", source="/d"))
    own = table([("9", 99.0, 0.0, "z", "train", "spiral")])
    found = {}
    for start, source in ((first.key, "/d"), ("", "/d"), (first.key, "")):
        release = "galaxy_zoo_1" if source else "simulated"
        config = RunConfig(
            release=release, source=source, start_from=start, architectures=("resnet18",)
        )
        model, images, labels = publish_galaxies(f"{start}{release}", own, config)
        champion = Champion(model, model, images, labels, make_record(config), 1)
        known = read_known(champion)
        found[start != "", release] = find_unseen(GALAXIES, known, radius_arcsec=2.0).tolist()
    assert found[True, "galaxy_zoo_1"] == [False, True, False, True, False, True]
    # Observed galaxies are not among simulated ones.
    assert all(found[False, "galaxy_zoo_1"])
    assert all(found[True, "simulated"])


def test_rows_that_are_one_galaxy_have_one_number_in_all_tables():
    own, theirs = group_same([GALAXIES, CHAMPION], radius_arcsec=2.0)
    assert len(own) == len(GALAXIES)
    assert len(theirs) == len(CHAMPION)
    assert own[0] == theirs[0]
    assert own[3] == theirs[2]
    assert own[5] not in theirs


def test_running_numbers_of_galaxies_far_apart_tie_nothing():
    one = table([(str(n), 10.0 + n, 0.0, f"a{n}", "train", "spiral") for n in range(12)])
    two = table([(str(n), 100.0 + n, 0.0, f"b{n}", "test", "edge_on") for n in range(12)])
    assert find_unseen(two, one, radius_arcsec=2.0).all()
    assert _compare_labels(one, two, radius_arcsec=2.0) == (0, {})


def test_what_many_share_counts_as_learned_from_and_makes_no_common_galaxies():
    one = table([(f"a{n}", 10.0 + n, 0.0, "placeholder", "train", "spiral") for n in range(6)])
    two = table([(f"b{n}", 100.0 + n, 0.0, "placeholder", "test", "edge_on") for n in range(5)])
    assert not find_unseen(two, one, radius_arcsec=2.0).any()
    assert _compare_labels(one, two, radius_arcsec=2.0) == (0, {})
    here = table([(f"a{n}", 10.0, 0.0, f"a{n}", "train", "spiral") for n in range(12)])
    there = table([(f"b{n}", 10.0, 0.0, f"b{n}", "test", "edge_on") for n in range(12)])
    assert not find_unseen(there, here, radius_arcsec=2.0).any()


@pytest.mark.parametrize(
    ("own", "their", "is_unseen"),
    [
        ((10.0, 0.0), (10.0, 3 * ARCSEC), False),
        ((10.0, 0.0), (10.0, 290 * ARCSEC), False),
        ((10.0, 0.0), (10.0, 310 * ARCSEC), True),
        ((10.0, 0.0), (np.nan, np.nan), False),
        ((np.nan, np.nan), (10.0, 0.0), False),
        ((np.nan, np.nan), (np.nan, np.nan), False),
    ],
)
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_one_id_is_one_galaxy_unless_arcminutes_part_its_places(own, their, is_unseen, split):
    champion = table(
        [("7", *their, "a", split, "spiral"), ("8", 200.0, 5.0, "c", "train", "spiral")]
    )
    galaxies = table([("7", *own, "b", "test", "spiral")])
    found = find_unseen(galaxies, champion, radius_arcsec=2.0)
    assert found.tolist() == [is_unseen or split == "test"]


def test_an_id_that_any_galaxy_learned_from_may_have_counts():
    """One table of the champion run has no places, another has the number for a galaxy far away."""
    champion = table(
        [("7", 200.0, 0.0, "a", "train", "spiral"), ("7", np.nan, np.nan, "b", "train", "spiral")]
    )
    galaxies = table([("7", 10.0, 0.0, "c", "test", "spiral")])
    assert not find_unseen(galaxies, champion, radius_arcsec=2.0).any()
    assert find_unseen(galaxies, champion.head(1), radius_arcsec=2.0).all()


def test_what_is_one_galaxy_in_this_run_is_known_if_one_of_it_is():
    champion = table([("7", np.nan, np.nan, "a", "train", "spiral")])
    galaxies = table(
        [("7", 10.0, 0.0, "b", "test", "spiral"), ("near", 10.0, ARCSEC, "c", "test", "spiral")]
    )
    assert not find_unseen(galaxies, champion, radius_arcsec=2.0).any()


def test_common_galaxies_and_their_changed_labels_are_counted():
    num_common, changes = _compare_labels(CHAMPION, GALAXIES, radius_arcsec=2.0)
    assert num_common == 4  # x and 1, z and 2, 3, 4
    assert changes == {("spiral", "edge_on"): 1, ("edge_on", "spiral"): 1}


def test_two_winners_of_the_same_classes_meet_on_these_whatever_their_order():
    ground = _find_ground(
        champion_classes=["spiral", "edge_on"],
        champion=tables([[0.9, 0.1], [0.2, 0.8]]),
        challenger_classes=["edge_on", "spiral"],
        challenger=tables([[0.3, 0.7], [0.6, 0.4]]),
        labels=np.array(["spiral", "edge_on"], dtype=object),
    )
    assert ground.classes == ("edge_on", "spiral")
    assert not ground.are_kinds
    assert ground.labels.tolist() == [1, 0]
    np.testing.assert_allclose(ground.champion.decisive, [[0.1, 0.9], [0.8, 0.2]])
    np.testing.assert_allclose(ground.challenger.decisive, [[0.3, 0.7], [0.6, 0.4]])


def test_other_classes_meet_by_kind_and_what_only_one_knows_is_left_out():
    ground = _find_ground(
        champion_classes=["completely_round_smooth", "in_between_smooth", "spiral"],
        champion=tables([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.2, 0.2, 0.6]]),
        challenger_classes=["elliptical", "merger", "spiral_clockwise", "spiral_anticlockwise"],
        challenger=tables([[0.6, 0.2, 0.1, 0.1], [0.1, 0.5, 0.3, 0.1], [0.0, 1.0, 0.0, 0.0]]),
        labels=np.array(["elliptical", "spiral_clockwise", "merger"], dtype=object),
    )
    assert ground.are_kinds
    assert ground.classes == ("smooth", "spiral")
    assert ground.labels.tolist() == [0, 1]  # the merger is left out
    np.testing.assert_allclose(ground.champion.decisive, [[0.8, 0.2], [0.2, 0.8]])
    np.testing.assert_allclose(ground.challenger.decisive, [[0.75, 0.25], [0.2, 0.8]])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cigar_shaped_smooth", "smooth"),
        ("barred_spiral", "spiral"),
        ("edge_on", "edge_on"),
        ("a class of one's own", "a class of one's own"),
    ],
)
def test_a_class_is_of_a_kind(name, kind):
    assert name_kind(name) == kind


def test_without_common_ground_the_verdict_says_how_much_there_was():
    ground = _find_ground(
        champion_classes=["spiral", "edge_on"],
        champion=tables([[0.9, 0.1]]),
        challenger_classes=["cat", "dog"],
        challenger=tables([[0.3, 0.7]]),
        labels=np.array(["cat"], dtype=object),
    )
    assert ground.classes == ()
    assert len(ground.labels) < LEAST_GALAXIES
    record = SimpleNamespace(architecture="alexnet")
    champion = SimpleNamespace(
        record=record, published="2026-11-24T03:00:00Z", model=SimpleNamespace(key="one")
    )
    challenger = SimpleNamespace(
        record=SimpleNamespace(architecture="resnet18"), artifact=SimpleNamespace(key="other")
    )
    text = _explain(champion, challenger, ground, None, Doubt(0, ""))  # pyright: ignore[reportArgumentType]
    assert text == (
        "The challenger, resnet18, cannot be compared with the champion, alexnet of 2026-11-24, "
        "on 0 galaxies of 0 common classes that neither has learned from: there are too few."
    )
    champion.model.key = "other"
    text = _explain(champion, challenger, ground, None, Doubt(0, ""))  # pyright: ignore[reportArgumentType]
    assert text == "The challenger is the champion itself, alexnet of 2026-11-24."
