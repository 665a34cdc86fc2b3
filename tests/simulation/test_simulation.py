"""The simulated release has the challenge's own format, and votes that its rules can read."""

import csv
import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from fixtures.simulation_inputs import make_galaxy

from galaxy_tasks.errors import InputError
from galaxy_tasks.releases.morphology import Morphology
from galaxy_tasks.simulation import draw_release
from galaxy_tasks.simulation.population import draw_galaxy, random_generator
from galaxy_tasks.simulation.volunteers import PARENTS, VOTE_COLUMNS, cast_votes

SEED = 11
CHALLENGE = Path(__file__).resolve().parents[3] / "shared" / "data" / "galaxy_zoo_challenge"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    draw_release(folder, num_galaxies=24, seed=SEED, workers=1)
    return folder


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def ids_of(folder: Path) -> set[str]:
    return {row["GalaxyID"] for row in read_table(folder / "training_solutions_rev1.csv")}


def digest_files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def label_cleanly(votes: dict[str, float]) -> Morphology | None:
    """Apply Willett et al. 2013, Table 3, to cumulative fractions, as a reader would by hand."""
    smooth, featured = votes["Class1.1"] >= 0.469, votes["Class1.2"] >= 0.430
    rules = {
        Morphology.COMPLETELY_ROUND_SMOOTH: smooth and votes["Class7.1"] >= 0.5,
        Morphology.IN_BETWEEN_SMOOTH: smooth and votes["Class7.2"] >= 0.5,
        Morphology.CIGAR_SHAPED_SMOOTH: smooth and votes["Class7.3"] >= 0.5,
        Morphology.EDGE_ON: featured and votes["Class2.1"] >= 0.602,
        Morphology.SPIRAL: featured and votes["Class2.2"] >= 0.715 and votes["Class4.1"] >= 0.619,
    }
    met = [morphology for morphology, is_met in rules.items() if is_met]
    return met[0] if len(met) == 1 else None


def check_sums(row: dict[str, float], *, tolerance: float) -> None:
    for question in range(1, 12):
        total = sum(row[name] for name in VOTE_COLUMNS if name.startswith(f"Class{question}."))
        parent = PARENTS.get(question)
        expected = row[f"Class{parent[0]}.{parent[1]}"] if parent else 1.0
        assert total == pytest.approx(expected, abs=tolerance), (question, row)


def test_release_has_the_challenges_columns_images_and_a_readme_that_says_simulated(release):
    votes, truth = (read_table(release / name) for name in
                    ("training_solutions_rev1.csv", "truth.csv"))  # fmt: skip
    assert list(votes[0]) == ["GalaxyID", *VOTE_COLUMNS]
    assert len(VOTE_COLUMNS) == 37
    ids = [row["GalaxyID"] for row in votes]
    assert ids == [row["GalaxyID"] for row in truth]
    assert len(set(ids)) == 24
    images = release / "images_training_rev1"
    assert {path.name for path in images.iterdir()} == {f"{name}.jpg" for name in ids}
    assert "SIMULATED" in (release / "README.txt").read_text()
    assert f"seed {SEED}" in (release / "README.txt").read_text()


def test_cutouts_are_424_px_colour_jpegs_as_large_as_real_ones_and_say_simulated(release):
    sizes = []
    for path in (release / "images_training_rev1").iterdir():
        data = path.read_bytes()
        cutout = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert cutout is not None
        assert cutout.shape == (424, 424, 3)
        assert b"SIMULATED" in data[:200]
        sizes.append(len(data))
    assert 11_000 < np.mean(sizes) < 20_000


def test_cumulative_fractions_sum_as_the_decision_tree_says(release):
    for row in read_table(release / "training_solutions_rev1.csv"):
        check_sums({name: float(row[name]) for name in VOTE_COLUMNS}, tolerance=1e-7)


def test_the_real_challenge_sums_the_same_way():
    path = CHALLENGE / "training_solutions_rev1_103rows.csv"
    if not path.is_file():
        pytest.skip(f"the real vote table is not here: {path}")
    rows = read_table(path)
    assert list(rows[0]) == ["GalaxyID", *VOTE_COLUMNS]
    for row in rows:
        check_sums({name: float(row[name]) for name in VOTE_COLUMNS}, tolerance=1e-5)


def test_a_release_is_a_prefix_of_a_larger_one_drawn_by_two_processes(release, tmp_path, caplog):
    caplog.set_level("INFO", "galaxy_tasks")
    draw_release(tmp_path, num_galaxies=40, seed=SEED, workers=2)
    smaller, larger = digest_files(release), digest_files(tmp_path)
    images = [name for name in smaller if name.endswith(".jpg")]
    assert len(images) == 24
    assert all(larger[name] == smaller[name] for name in images)
    for table in ("training_solutions_rev1.csv", "truth.csv"):
        lines = (tmp_path / table).read_text().splitlines()
        assert len(lines) == 41
        assert lines[:25] == (release / table).read_text().splitlines()
    assert "Drew 40 of 40 galaxies" in caplog.text


def test_repeating_a_release_gives_the_same_bytes_and_another_seed_others(release, tmp_path):
    again, other = tmp_path / "again", tmp_path / "other"
    for folder, seed in ((again, SEED), (other, SEED + 1)):
        folder.mkdir()
        draw_release(folder, num_galaxies=24, seed=seed, workers=1)
    assert digest_files(again) == digest_files(release)
    assert not set(digest_files(other).values()) & set(digest_files(release).values())
    assert not ids_of(other) & ids_of(release)


def test_clean_labels_agree_with_the_truth_and_a_fair_part_is_contested():
    agreeing, clean, labels = 0, 0, []
    for index in range(1500):
        random = random_generator(seed=5, index=index)
        galaxy = draw_galaxy(random)
        fractions = cast_votes(galaxy, random=random)
        label = label_cleanly(dict(zip(VOTE_COLUMNS, fractions, strict=True)))
        clean += label is not None
        agreeing += label is not None and label == galaxy.morphology
        labels.append(label)
    assert 0.65 < clean / 1500 < 0.85
    assert 0.90 <= agreeing / clean < 0.99
    bounds = {
        Morphology.COMPLETELY_ROUND_SMOOTH: (0.15, 0.32),
        Morphology.IN_BETWEEN_SMOOTH: (0.15, 0.32),
        Morphology.CIGAR_SHAPED_SMOOTH: (0.05, 0.13),
        Morphology.EDGE_ON: (0.10, 0.22),
        Morphology.SPIRAL: (0.22, 0.38),
    }
    for morphology, (low, high) in bounds.items():
        assert low < labels.count(morphology) / clean < high, morphology


def test_artifacts_are_voted_so_and_never_clean():
    galaxy = make_galaxy(kind="artifact", morphology="artifact", artifact="trail")
    for index in range(20):
        votes = cast_votes(galaxy, random=random_generator(seed=9, index=index))
        row = dict(zip(VOTE_COLUMNS, votes, strict=True))
        assert row["Class1.3"] > 0.35
        assert label_cleanly(row) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_galaxies": 0}, "num_galaxies must be at least 1. Received: 0"),
        ({"seed": -1}, "seed must be at least 0. Received: -1"),
        ({"workers": -2}, "workers must be at least 0. Received: -2"),
    ],
)
def test_numbers_out_of_bounds_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        draw_release(tmp_path, **{"num_galaxies": 1, "seed": 0, "workers": 1, **changes})


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="existing folder"):
        draw_release(tmp_path / "missing", num_galaxies=1, seed=0)
