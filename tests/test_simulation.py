"""The simulated release: the challenge's own format, and truth that can be measured again."""

import csv
import hashlib
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from galaxy_tasks.errors import InputError
from galaxy_tasks.morphology import Morphology
from galaxy_tasks.simulation import draw_release
from galaxy_tasks.simulation.camera import photograph, stretch
from galaxy_tasks.simulation.galaxies import Galaxy, draw_galaxy, random_generator
from galaxy_tasks.simulation.rendering import render_galaxy
from galaxy_tasks.simulation.votes import PARENTS, VOTE_COLUMNS, cast_votes

SEED = 11
CHALLENGE = Path(__file__).resolve().parents[2] / "shared" / "data" / "galaxy_zoo_challenge"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    draw_release(folder, num_galaxies=24, seed=SEED, workers=1)
    return folder


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def digest_files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def make_galaxy(**changes: object) -> Galaxy:
    """Return a clean, isolated elliptical galaxy with the given changes."""
    galaxy = Galaxy(
        kind="smooth",
        morphology=Morphology.IN_BETWEEN_SMOOTH,
        position_angle=30.0,
        axis_ratio=0.5,
        half_light_px=20.0,
        sersic_index=1.0,
        brightness=1.0,
        redness=0.0,
        bulge_fraction=0.1,
        arms=2,
        arm_strength=0.0,
        pitch_degrees=20.0,
        winds=1,
        clumpiness=0.0,
        bar_strength=0.0,
        ring_strength=0.0,
        dust=0.0,
        radius_arcsec=10.0,
        seeing_arcsec=1.3,
        artifact="none",
    )
    return replace(galaxy, **changes)


def measure_ellipse(light: np.ndarray) -> tuple[float, float]:
    """Return the position angle (degrees, y up) and axis ratio from second moments."""
    weight = light.sum(axis=2)
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]].astype(float)
    y = -y
    x -= np.average(x, weights=weight)
    y -= np.average(y, weights=weight)
    xx, yy, xy = (np.average(product, weights=weight) for product in (x * x, y * y, x * y))
    values, vectors = np.linalg.eigh([[xx, xy], [xy, yy]])
    angle = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1])) % 180
    return angle, math.sqrt(values[0] / values[1])


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


def test_a_release_is_a_prefix_of_a_larger_one_drawn_by_two_processes(release, tmp_path, capsys):
    draw_release(tmp_path, num_galaxies=40, seed=SEED, workers=2)
    smaller, larger = digest_files(release), digest_files(tmp_path)
    images = [name for name in smaller if name.endswith(".jpg")]
    assert len(images) == 24
    assert all(larger[name] == smaller[name] for name in images)
    for table in ("training_solutions_rev1.csv", "truth.csv"):
        lines = (tmp_path / table).read_text().splitlines()
        assert len(lines) == 41
        assert lines[:25] == (release / table).read_text().splitlines()
    assert "drew 40 / 40 galaxies" in capsys.readouterr().out


def test_repeating_a_release_gives_the_same_bytes_and_another_seed_others(release, tmp_path):
    again, other = tmp_path / "again", tmp_path / "other"
    for folder, seed in ((again, SEED), (other, SEED + 1)):
        folder.mkdir()
        draw_release(folder, num_galaxies=24, seed=seed, workers=1)
    assert digest_files(again) == digest_files(release)
    assert not set(digest_files(other).values()) & set(digest_files(release).values())


@pytest.mark.parametrize("position_angle", [0.0, 35.0, 90.0, 140.0])
@pytest.mark.parametrize("axis_ratio", [0.3, 0.6, 0.85])
def test_second_moments_give_back_the_drawn_angle_and_axis_ratio(position_angle, axis_ratio):
    galaxy = make_galaxy(position_angle=position_angle, axis_ratio=axis_ratio)
    light = render_galaxy(galaxy, random=random_generator(seed=0, index=0))
    angle, ratio = measure_ellipse(light)
    assert ratio == pytest.approx(axis_ratio, abs=0.02)
    assert abs((angle - position_angle + 90) % 180 - 90) < 1.0


def test_an_edge_on_disc_lies_along_its_position_angle_and_is_thin():
    galaxy = make_galaxy(kind="edge_on", axis_ratio=0.12, bulge_fraction=0.02, position_angle=110.0)
    angle, ratio = measure_ellipse(render_galaxy(galaxy, random=random_generator(seed=0, index=0)))
    assert abs(angle - 110) < 2
    assert ratio < 0.3


def test_a_bulge_holds_its_share_of_the_light():
    disc, both = (
        render_galaxy(
            make_galaxy(kind="spiral", axis_ratio=1.0, bulge_fraction=fraction, arm_strength=0.0),
            random=random_generator(seed=0, index=0),
            side=424,
        )[..., 1].sum()
        for fraction in (1e-6, 0.3)
    )
    assert 1 - disc / both == pytest.approx(0.3, abs=0.05)


def test_spirals_have_more_azimuthal_structure_than_ellipticals_and_as_many_crests_as_arms():
    smooth = make_galaxy(axis_ratio=1.0)
    spiral = make_galaxy(kind="spiral", axis_ratio=1.0, arm_strength=1.5, arms=3)
    powers = [azimuthal_power(galaxy) for galaxy in (smooth, spiral)]
    assert powers[1].max() > 20 * powers[0].max()
    assert int(powers[1].argmax()) + 1 == 3


def azimuthal_power(galaxy: Galaxy) -> np.ndarray:
    """Return the strength of waves 1 to 6 around a ring at 1.2 half-light radii, of the mean."""
    light = render_galaxy(galaxy, random=random_generator(seed=4, index=0), side=424)[..., 1]
    angle = np.linspace(0, 2 * math.pi, 360, endpoint=False)
    radius = 1.2 * galaxy.half_light_px
    rows = np.rint(211.5 - radius * np.sin(angle)).astype(int)
    columns = np.rint(211.5 + radius * np.cos(angle)).astype(int)
    waves = np.abs(np.fft.rfft(light[rows, columns]))
    return waves[1:7] / waves[0]


def test_the_stretch_keeps_the_hue_and_is_linear_where_it_is_dark():
    faint = np.full((1, 1, 3), 0.001, np.float32)
    assert stretch(2 * faint)[0, 0, 0] == pytest.approx(2 * stretch(faint)[0, 0, 0], rel=1e-3)
    coloured = stretch(np.array([[[1.0, 2.0, 3.0]]], np.float32))[0, 0]
    assert coloured[1] / coloured[0] == pytest.approx(2.0, rel=1e-5)


def test_noise_is_as_strong_as_asked_and_independent_of_the_light_arrays_precision():
    galaxy = make_galaxy()
    dark = np.zeros((180, 180, 3), np.float32)
    cutout = photograph(dark, galaxy=galaxy, random=random_generator(seed=1, index=1))
    assert cutout.dtype == np.uint8
    assert 2 < cutout.mean() < 8
    assert render_galaxy(galaxy, random=random_generator(seed=1, index=1)).dtype == np.float32


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
