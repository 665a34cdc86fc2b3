"""Every release against its published header, on galaxies of known class cleaned by Spark."""

import contextlib
import json
import math
import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from galaxy_tasks import cleaning
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.labels import clean_labels
from galaxy_tasks.release_files import locate_release, plan_catalogue
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.files import read_table_header
from galaxy_tasks.releases.galaxy_zoo_decals import FIRST_TREE
from galaxy_tasks.releases.modern_tree import make_modern_tree
from galaxy_tasks.releases.rules import Release, VoteScheme
from galaxy_tasks.releases.vocabulary import QUESTIONS, Answer
from galaxy_tasks.spark_conf import spark_submit_conf
from galaxy_tasks.spark_tables import read_rows

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "catalogues"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs the real data in {SHARED}")
CLASSES = (
    "completely_round_smooth",
    "in_between_smooth",
    "cigar_shaped_smooth",
    "edge_on",
    "spiral",
)
ARTIFACT = ("smooth_or_featured", "artifact")
PUBLISHED = [name for name in RELEASES if name not in ("simulated", "class_table")]
FIVE_CLASSES = [name for name in PUBLISHED if name != "galaxy_zoo_1"]

# Headers as the releases' own descriptions have them: see each release's module.
GZ2_PARTS = ("count", "weight", "fraction", "weighted_fraction", "debiased", "flag")


def list_gz2_columns() -> list[str]:
    (tree,) = RELEASES["galaxy_zoo_2"].trees
    return [f"{stem}_{part}" for stem in tree for part in GZ2_PARTS]


def list_decals_columns(tree: dict[str, Answer]) -> list[str]:
    questions = dict.fromkeys(stem.rsplit("_", 1)[0] for stem in tree)
    votes = [f"{stem}{part}" for stem in tree for part in ("", "_fraction", "_debiased")]
    return ["iauname", "ra", "dec", "redshift", *(f"{q}_total-votes" for q in questions), *votes]


def list_by_questions(name: str, parts: tuple[str, ...], totals: tuple[str, ...]) -> list[str]:
    (tree,) = RELEASES[name].trees
    questions = dict.fromkeys(re.sub(r"_a\d+_.*", "", stem) for stem in tree)
    return [f"{s}_{p}" for s in tree for p in parts] + [
        f"{q}_{t}" for q in questions for t in totals
    ]


HEADERS: dict[str, list[str]] = {
    "galaxy_zoo_challenge": ["GalaxyID", *RELEASES["galaxy_zoo_challenge"].trees[0]],
    "galaxy_zoo_2": ["dr7objid", "ra", "dec", "gz2_class", *list_gz2_columns()],
    "galaxy_zoo_2_main": [
        *("specobjid", "dr8objid", "dr7objid", "ra", "dec", "gz2class"),
        *list_gz2_columns(),
    ],
    "galaxy_zoo_1": [
        *("OBJID", "RA", "DEC", "NVOTE", "P_EL", "P_CW", "P_ACW", "P_EDGE", "P_DK", "P_MG", "P_CS"),
        *("P_EL_DEBIASED", "P_CS_DEBIASED", "SPIRAL", "ELLIPTICAL", "UNCERTAIN"),
    ],
    "galaxy_zoo_hubble": [
        *("zooniverse_id", "survey_id", "Table", "RA", "DEC", "Z_BEST", "correction_type"),
        *list_by_questions(
            "galaxy_zoo_hubble", ("fraction", "weighted_fraction"), ("total_count", "total_weight")
        ),
    ],
    "galaxy_zoo_candels": [
        *("ID", "RA", "Dec", "num_classifications"),
        *list_by_questions("galaxy_zoo_candels", ("frac", "weighted_frac"), ("count", "weight")),
    ],
    "galaxy_zoo_decals": list_decals_columns(FIRST_TREE),
    "galaxy_zoo_desi": [
        *("dr8_id", "ra", "dec", "brickid", "objid"),
        *(f"{stem}_fraction" for stem in make_modern_tree()),
    ],
    "galaxy_zoo_euclid": [
        *("release_name", "tile_index", "object_id", "right_ascension", "declination"),
        *(f"{stem}_fraction" for stem in RELEASES["galaxy_zoo_euclid"].trees[0]),
    ],
}


def vote_fractions(release: Release, label: str) -> dict[str, float | int]:
    """Return votes with which a galaxy surely has the class: 1 along its branch, 40 volunteers."""
    scheme = release.schemes["clean5"]
    assert isinstance(scheme, VoteScheme)
    (rule,) = (rule for rule in scheme.rules if rule.morphology == label)
    votes = {criterion.column: 1.0 for criterion in rule.criteria}
    # Of the columns that count a question one gets all the volunteers, the others none.
    return votes | {
        criterion.vote_columns[0]: 40 for criterion in rule.criteria if criterion.vote_columns
    }


def find_spelling(release: Release, header: list[str], column: str) -> str:
    names = (column, *release.aliases.get(column, ()))
    return next(name for name in names if name in header)


def write_catalogue(path: Path, header: list[str], rows: list[dict[str, object]]) -> None:
    table = pd.DataFrame(rows, columns=pd.Index(header))
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False)  # gzipped where the name says so


def build_source(
    folder: Path, name: str, *, galaxies: int, table: str = "", blank: object = 0
) -> RunConfig:
    """Write a release's folder: galaxies of each class in turn, and their images.

    The catalogue has the first name that the release looks for, or that of `table`.
    """
    release, header = RELEASES[name], HEADERS[name]
    images = folder / release.images_folders[0]
    images.mkdir(parents=True)
    scheme = release.schemes["clean5"]
    assert isinstance(scheme, VoteScheme)
    read = (*scheme.fraction_columns, *scheme.vote_columns)
    labels = [rule.morphology.value for rule in scheme.rules]
    rows = []
    for number in range(galaxies):
        votes = vote_fractions(release, labels[number % len(labels)])
        # A blank is written only where the release may leave one.
        votes = {c: blank if c in scheme.blank_columns else 0 for c in read} | votes
        row = {find_spelling(release, header, column): value for column, value in votes.items()}
        row |= {release.id_columns[0]: name_galaxy(name, number), "tile_index": 102}
        rows.append({column: value for column, value in row.items() if column in header})
        (images / f"{name_image(name, number)}.jpg").write_bytes(b"x")
    write_catalogue(folder / (table or release.catalogue_names[0]), header, rows)
    if name.startswith("galaxy_zoo_2"):
        lines = [f"{name_galaxy(name, n)},original,{n}" for n in range(galaxies)]
        (folder / "gz2_filename_mapping.csv").write_text(
            "\n".join(["objid,sample,asset_id", *lines])
        )
    return RunConfig(release=name, source=str(folder), catalogue_file=table)


def name_galaxy(release: str, number: int) -> str:
    patterns = {
        "galaxy_zoo_hubble": "AHZ{:07d}",
        "galaxy_zoo_candels": "COS_{}",
        "galaxy_zoo_decals": "J{:06d}.88-000427.4",
        "galaxy_zoo_desi": "303240_{}",
        "galaxy_zoo_euclid": "-{}",
    }
    return patterns.get(release, "587722981741363{:03d}").format(number)


def name_image(release: str, number: int) -> str:
    if release.startswith("galaxy_zoo_2"):
        return str(number)
    # Of the two names that the release's description has for an image, each in turn.
    euclid = f"102_NEG{number}{'_' * (number % 2)}"
    return euclid if release == "galaxy_zoo_euclid" else name_galaxy(release, number)


@pytest.mark.parametrize("name", PUBLISHED)
def test_galaxies_of_a_known_class_get_it_from_the_release_as_published(
    spark, tmp_path, monkeypatch, name
):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    config = build_source(tmp_path / "source", name, galaxies=200)
    artifact = clean_labels(config, locate_release(config), spark=spark)
    summary = artifact.manifest["summary"]
    assert (summary["rows_in"], summary["kept"], summary["dropped"]) == (200, 200, {})
    labels = pd.read_parquet(artifact.path / "labels.parquet").set_index("galaxy_id")
    classes = CLASSES if name in FIVE_CLASSES else ("elliptical", "spiral")
    expected = {name_galaxy(name, n): classes[n % len(classes)] for n in range(200)}
    assert labels["label"].to_dict() == expected
    images = {name_galaxy(name, n): f"{name_image(name, n)}.jpg" for n in range(200)}
    assert labels["image_name"].to_dict() == images


BRANCHING = [
    name
    for name in PUBLISHED
    if (scheme := RELEASES[name].schemes["clean5"]) and getattr(scheme, "blank_columns", None)
]


def test_only_releases_that_ask_by_branch_may_leave_blanks():
    kept_whole = {"galaxy_zoo_challenge", "galaxy_zoo_2", "galaxy_zoo_2_main", "galaxy_zoo_1"}
    assert set(PUBLISHED) - set(BRANCHING) == kept_whole


@pytest.mark.parametrize("name", BRANCHING)
@pytest.mark.parametrize("blank", ["", "NaN"])
def test_a_question_that_nobody_was_asked_meets_no_rule_and_is_no_fault(
    spark, tmp_path, name, blank
):
    config = build_source(tmp_path, name, galaxies=10, table="t.csv.gz", blank=blank)
    judged = judge(spark, config)
    assert [judged[name_galaxy(name, n)] for n in range(10)] == [
        (CLASSES[n % 5], None) for n in range(10)
    ]


def judge(spark, config: RunConfig) -> dict[str, tuple[str | None, str | None]]:
    """Return (label, reason) by id, as read and labelled by the release's own plan."""
    plan = plan_catalogue(config, Path(config.source, config.catalogue_file))
    rows = read_rows(spark, plan.table, plan.columns)
    for position in {"ra", "dec"} - plan.columns.keys():
        rows = rows.withColumn(position, F.lit(None).cast("string"))
    labelled = cleaning.label_rows(
        rows, plan.scheme, minimum_votes=config.minimum_votes, ignored_classes=()
    )
    return {row["galaxy_id"]: (row["label"], row["reason"]) for row in labelled.collect()}


def test_blanks_and_faults_of_parquet_are_told_apart(spark, tmp_path):
    smooth, featured = "smooth-or-featured_smooth", "smooth-or-featured_featured-or-disk"
    fractions = {f"{stem}_fraction": [math.nan] * 5 for stem in make_modern_tree()}
    # round; everything blank; NaN on the only criterion left; above 1; the first question blank
    fractions[f"{smooth}_fraction"] = [0.9, 0.9, 0.1, 0.9, None]
    fractions[f"{featured}_fraction"] = [0.1, 0.1, 0.9, 0.1, 0.1]
    fractions["how-rounded_round_fraction"] = [0.8, None, None, 1.1, 0.8]
    fractions["disk-edge-on_yes_fraction"] = [None, None, math.nan, None, None]
    ids = [f"303240_{number}" for number in range(5)]
    floats = {name: pa.array(cells, pa.float32()) for name, cells in fractions.items()}
    table = pa.table({"dr8_id": ids, "ra": [10.0] * 5, "dec": [5.0] * 5, **floats})
    pq.write_table(table, tmp_path / "desi.parquet")
    config = RunConfig(
        release="galaxy_zoo_desi", source=str(tmp_path), catalogue_file="desi.parquet"
    )
    assert list(judge(spark, config).values()) == [
        ("completely_round_smooth", None),
        (None, "contested_no_rule"),
        (None, "contested_no_rule"),
        (None, "malformed"),
        (None, "malformed"),
    ]


def test_a_galaxy_with_too_few_volunteers_on_one_question_has_no_class(spark, tmp_path):
    config = build_source(tmp_path, "galaxy_zoo_decals", galaxies=5, table="t.csv")
    path = tmp_path / config.catalogue_file
    table = pd.read_csv(path)
    table.loc[0, "how-rounded_total-votes"] = 19
    table.to_csv(path, index=False)
    labels = [label for label, _ in judge(spark, config).values()]
    assert labels == [None, *CLASSES[1:]]


# Headers that differ.


def write_header(folder: Path, name: str, header: list[str]) -> RunConfig:
    (folder / "header.csv").write_text(",".join(header) + "\n")
    return RunConfig(release=name, source=str(folder), catalogue_file="header.csv")


def plan(config: RunConfig) -> dict[str, str]:
    return plan_catalogue(config, Path(config.source, config.catalogue_file)).columns


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_header_in_other_case_and_order_with_more_columns_is_read(tmp_path, name):
    header = ["note", *(column.upper() for column in reversed(HEADERS[name]))]
    columns = plan(write_header(tmp_path, name, header))
    assert {own.upper() for own in columns.values()} == set(columns.values())


def test_both_tables_of_decals_and_its_schemas_names_are_read(tmp_path):
    header = list_decals_columns(make_modern_tree())
    assert plan(write_header(tmp_path, "galaxy_zoo_decals", header))[
        "how-rounded_round_fraction"
    ] == ("how-rounded_round_fraction")
    header = [column.removesuffix("-votes") for column in HEADERS["galaxy_zoo_decals"]]
    columns = plan(write_header(tmp_path, "galaxy_zoo_decals", header))
    assert columns["how-rounded_round_fraction"] == "how-rounded_completely_fraction"
    assert columns["disk-edge-on_total-votes"] == "disk-edge-on_total"


@pytest.mark.parametrize("spelling", ["gz2class", "gz2_class", "GZ2_CLASS"])
@pytest.mark.parametrize("name", ["galaxy_zoo_2", "galaxy_zoo_2_main"])
def test_the_shorthand_column_is_found_in_every_known_spelling(tmp_path, name, spelling):
    config = write_header(tmp_path, name, ["dr7objid", spelling])
    assert plan(config.model_copy(update={"scheme": "gz2_class"}))["gz2_class"] == spelling


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_renamed_column_is_refused_with_what_is_missing_and_what_is_nearest(tmp_path, name):
    scheme = RELEASES[name].schemes["clean5"]
    assert isinstance(scheme, VoteScheme)
    lost = find_spelling(RELEASES[name], HEADERS[name], scheme.fraction_columns[-1])
    header = [f"{column}s" if column == lost else column for column in HEADERS[name]]
    config = write_header(tmp_path, name, header)
    with pytest.raises(InputError, match=r"lacks 1 column\(s\)\. Expected: ") as caught:
        plan(config)
    message = str(caught.value)
    assert lost in message.partition("Found: ")[0]
    assert f"Nearest to what is missing: {lost}s for {lost}" in message


def test_another_releases_header_is_refused_without_a_guess(tmp_path):
    config = write_header(tmp_path, "galaxy_zoo_desi", HEADERS["galaxy_zoo_1"])
    with pytest.raises(InputError, match=r"lacks 9 column\(s\)\. Expected: dr8_id, ") as caught:
        plan(config)
    assert "Nearest" not in str(caught.value)


def test_the_columns_that_make_an_images_name_are_asked_for_before_spark_starts(tmp_path):
    config = build_source(tmp_path, "galaxy_zoo_euclid", galaxies=5, table="t.csv")
    table = pd.read_csv(tmp_path / config.catalogue_file).drop(columns="tile_index")
    table.to_csv(tmp_path / config.catalogue_file, index=False)
    with pytest.raises(InputError, match=r"lacks 1 column\(s\)\. Expected: tile_index"):
        locate_release(config)


# The headers above against the releases' own descriptions.


def list_official_columns(file: str) -> list[str]:
    """Return the first words of a description's lines, from the line that begins the table."""
    lines = (SHARED / file).read_text(encoding="utf-8").splitlines()
    start = next(n for n, line in enumerate(lines) if line.split()[:1] in (["name"], ["Name"]))
    return [line.split()[0] for line in lines[start + 1 :] if line.split() and line[0] != "-"]


@needs_shared
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("galaxy_zoo_2", "columns_gz2_hart16.txt"),
        ("galaxy_zoo_2_main", "columns_zoo2MainSpecz.txt"),
        ("galaxy_zoo_hubble", "columns_gz_hubble_main.tsv"),
        ("galaxy_zoo_candels", "columns_gz_candels_table2.txt"),
    ],
)
def test_the_official_description_has_every_column_that_we_know(tmp_path, name, file):
    official = list_official_columns(file)
    # The description says gz2class where the published header says gz2_class.
    expected = ["gz2class" if column == "gz2_class" else column for column in HEADERS[name]]
    assert set(expected) - set(official) == set()
    plan(write_header(tmp_path, name, official))
    # And the vocabulary knows every column of votes that the description has.
    release = RELEASES[name]
    fractions = [c for c in official if c.endswith(release.fraction_suffixes)]
    assert [c for c in fractions if release.find_answer(c) is None] == []
    assert len(fractions) >= 100


@needs_shared
def test_the_real_catalogue_is_planned_by_its_real_header():
    catalogue = SHARED / "gz2_catalogue_288rows.csv"
    config = RunConfig(release="galaxy_zoo_2", source="x", minimum_votes=20)
    columns = plan_catalogue(config, catalogue).columns
    assert len(columns) == 3 + 8 + 10  # id and position, fractions, counts
    assert set(list_gz2_columns()) <= set(read_table_header(catalogue).columns)


# The vocabulary.


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_fraction_of_a_rule_is_a_canonical_answer(name):
    scheme = RELEASES[name].schemes["clean5"]
    assert isinstance(scheme, VoteScheme)
    assert [c for c in scheme.fraction_columns if RELEASES[name].find_answer(c) is None] == []


MEANINGS = {
    "completely_round_smooth": {("smooth_or_featured", "smooth"), ("roundness", "round")},
    "in_between_smooth": {("smooth_or_featured", "smooth"), ("roundness", "in_between")},
    "cigar_shaped_smooth": {("smooth_or_featured", "smooth"), ("roundness", "cigar")},
    "edge_on": {("smooth_or_featured", "featured"), ("edge_on", "yes")},
    "spiral": {("smooth_or_featured", "featured"), ("edge_on", "no"), ("spiral", "yes")},
}


@pytest.mark.parametrize("name", FIVE_CLASSES)
def test_a_class_asks_for_the_same_answers_in_every_release(name):
    release = RELEASES[name]
    scheme = release.schemes["clean5"]
    assert isinstance(scheme, VoteScheme)
    found = {
        rule.morphology.value: {
            (answer.question, answer.answer)
            for c in rule.criteria
            if (answer := release.find_answer(c.column))
        }
        - {("clumpy", "no")}
        for rule in scheme.rules
    }
    assert found == MEANINGS


@pytest.mark.parametrize("name", PUBLISHED)
def test_no_two_columns_of_a_table_are_the_same_answer(name):
    for tree in RELEASES[name].trees:
        assert len(set(tree.values())) == len(tree)


def test_every_word_of_the_vocabulary_is_used_and_no_other():
    used = {
        (answer.question, answer.answer)
        for release in RELEASES.values()
        for tree in release.trees
        for answer in tree.values()
    }
    assert used == {(question, a) for question, answers in QUESTIONS.items() for a in answers}
    with pytest.raises(ValueError, match="No canonical answer 'completely' to 'roundness'"):
        Answer(question="roundness", answer="completely")


@pytest.mark.parametrize(
    ("name", "column", "question", "answer"),
    [
        ("galaxy_zoo_2", "t01_smooth_or_features_a03_star_or_artifact_debiased", *ARTIFACT),
        ("galaxy_zoo_challenge", "Class1.3", *ARTIFACT),
        ("galaxy_zoo_candels", "t00_smooth_or_featured_a2_artifact_weighted_frac", *ARTIFACT),
        ("galaxy_zoo_euclid", "smooth-or-featured_problem_fraction", *ARTIFACT),
        ("galaxy_zoo_challenge", "Class8.7", "odd_feature", "dust_lane"),
        ("galaxy_zoo_challenge", "Class11.6", "arm_count", "cant_tell"),
        ("galaxy_zoo_candels", "t14_spiral_arm_count_a4_5_plus_frac", "arm_count", "more_than_4"),
        ("galaxy_zoo_decals", "how-rounded_completely_fraction", "roundness", "round"),
        ("galaxy_zoo_decals", "how-rounded_round_debiased", "roundness", "round"),
        ("galaxy_zoo_decals", "bulge-size_obvious_fraction", "bulge_size", "obvious"),
        ("galaxy_zoo_decals", "bulge-size_moderate_fraction", "bulge_size", "moderate"),
        ("galaxy_zoo_decals", "bar_yes_fraction", "bar", "yes"),
        ("galaxy_zoo_desi", "bar_weak_fraction", "bar", "weak"),
        ("galaxy_zoo_1", "P_CS_DEBIASED", "type", "spiral"),
    ],
)
def test_drifting_words_have_one_canonical_meaning(name, column, question, answer):
    assert RELEASES[name].find_answer(column) == Answer(question=question, answer=answer)


def test_what_is_no_column_of_fractions_is_no_answer():
    assert RELEASES["galaxy_zoo_2"].find_answer("t02_edgeon_a04_yes_count") is None
    assert RELEASES["galaxy_zoo_desi"].find_answer("bar_yes_fraction") is None


# What a release says of itself.


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_release_says_where_it_is_from_and_how_images_are_found(name):
    release = RELEASES[name]
    assert re.search(r"\b20\d\d\b", release.citation)
    assert release.votes is not None
    assert release.rows is not None
    assert len(release.image_source) > 40
    assert release.trees
    assert {file.role for file in release.files} >= {"catalogue"}
    for file in release.files:
        assert all(re.fullmatch(r"https://\S+/" + file.name, a) for a in file.addresses)
        assert file.md5 is None or re.fullmatch(r"[0-9a-f]{32}", file.md5)
        if file.role == "catalogue":
            assert file.name in release.catalogue_names


def test_what_only_describes_a_release_makes_nobody_train_again():
    release = RELEASES["galaxy_zoo_2"]
    described = replace(release, citation="", licence="", files=(), rows=1, image_source="")
    assert repr(described) == repr(release)
    assert repr(replace(release, ra_column="other")) != repr(release)


# The largest release, at its size.

SCALE_ROWS = int(os.environ.get("GALAXY_SCALE_ROWS", "1000000"))  # DESI itself: 8670000
SCALE_IMAGES = 21_000
HEAP_MIB = 1024
"""Memory of Spark's virtual machine, whatever the rows: too little, and the job would fail."""
PYTHON_MIB = 500
"""The driver's Python with its libraries; 8.67 million ids as objects would be beyond."""


def draw_desi_rows(first: int, count: int) -> pa.Table:
    """Return galaxies of each class in turn, then one of no class and one without an answer."""
    kind = np.arange(first, first + count) % 7
    noise = np.random.default_rng(first).integers(0, 20, (len(make_modern_tree()), count)) / 100
    votes = {f"{stem}_fraction": row for stem, row in zip(make_modern_tree(), noise, strict=True)}
    featured = (kind == 3) | (kind == 4)
    votes["smooth-or-featured_smooth_fraction"][kind < 3] = 0.9
    votes["smooth-or-featured_featured-or-disk_fraction"][featured] = 0.9
    for number, answer in enumerate(("round", "in-between", "cigar-shaped")):
        votes[f"how-rounded_{answer}_fraction"][kind == number] = 0.8
        votes[f"how-rounded_{answer}_fraction"][kind >= 3] = np.nan
    for answer, chosen in (("yes", 3), ("no", 4)):
        votes[f"disk-edge-on_{answer}_fraction"][kind == chosen] = 0.9
        votes[f"disk-edge-on_{answer}_fraction"][~featured] = np.nan
    votes["has-spiral-arms_yes_fraction"][kind == 4] = 0.9
    votes["smooth-or-featured_smooth_fraction"][kind == 6] = np.nan
    ids = np.arange(first, first + count)
    table = {
        "dr8_id": pa.array([f"{number // 5000}_{number % 5000}" for number in ids]),
        # One galaxy to a square of 0.02 degrees, so that none shares its group.
        "ra": (ids % 17_000) * 0.02,
        "dec": (ids // 17_000) * 0.02 - 10,
        **{name: pa.array(row.astype("f4"), from_pandas=True) for name, row in votes.items()},
    }
    return pa.table(table)


def write_desi(folder: Path, rows: int) -> Path:
    (folder / "images").mkdir(parents=True)
    path = folder / "gz_desi_deep_learning_catalog_friendly.parquet"
    step = 250_000
    with pq.ParquetWriter(path, draw_desi_rows(0, 7).schema) as writer:
        for first in range(0, rows, step):
            writer.write_table(draw_desi_rows(first, min(step, rows - first)))
    for number in range(SCALE_IMAGES):
        (folder / "images" / f"{number // 5000}_{number % 5000}.jpg").touch()
    return folder


def clean_in_its_own_process(source: Path, home: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the labels' summary, and seconds and peak memory of what the job was."""
    config = RunConfig(release="galaxy_zoo_desi", source=str(source))
    conf = {**spark_submit_conf(), "spark.driver.memory": f"{HEAP_MIB}m"}
    scripts = Path(sys.executable).parent
    root = Path(__file__).resolve().parents[1]
    command = [
        *("spark-submit", "--master=local[2]", *(f"--conf={k}={v}" for k, v in conf.items())),
        *(str(root / "galaxy_tasks" / "labels.py"), "--settings"),
        *(json.dumps(config.model_dump(mode="json")), "--release-files"),
        json.dumps(locate_release(config).as_dict()),
    ]
    path = f"{scripts}:{os.environ['PATH']}"
    environment = os.environ | {"GALAXY_HOME": str(home), "PATH": path, "PYTHONPATH": str(root)}
    started = time.monotonic()
    with (home.parent / "log.txt").open("wb") as log:
        job = psutil.Popen(command, env=environment, stdout=log, stderr=log)
        peaks = watch(job)
    peaks["wall_s"] = time.monotonic() - started
    assert job.returncode == 0, (home.parent / "log.txt").read_text()
    (manifest,) = home.glob("labels/*/manifest.json")
    return json.loads(manifest.read_text())["summary"], peaks


def watch(job: psutil.Popen) -> dict[str, float]:
    """Return the processor seconds and the peak memory of the job's processes, by kind."""
    peaks: dict[str, float] = {"java_mib": 0, "python_mib": 0}
    seconds: dict[int, float] = {}
    while job.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in [job, *job.children(recursive=True)]:
                kind = "java_mib" if "java" in process.name() else "python_mib"
                peaks[kind] = max(peaks[kind], process.memory_info().rss / 2**20)
                times = process.cpu_times()
                seconds[process.pid] = times.user + times.system
        time.sleep(0.2)  # between two looks at a process that we can only watch
    return peaks | {"cpu_s": sum(seconds.values())}


@pytest.mark.slow
def test_desi_at_its_size_is_cleaned_in_memory_that_does_not_grow_with_it(tmp_path):
    rows = SCALE_ROWS
    source = write_desi(tmp_path / "source", rows)
    summary, cost = clean_in_its_own_process(source, tmp_path / "runs")
    print(f"{rows:,} rows: " + ", ".join(f"{name} {value:,.1f}" for name, value in cost.items()))
    kept = SCALE_IMAGES // 7 * 5
    per_kind = [len(range(kind, rows, 7)) for kind in range(7)]
    assert summary["rows_in"] == rows
    assert summary["kept"] == kept
    assert summary["dropped"] == {
        "malformed": per_kind[6],
        "contested_no_rule": per_kind[5],
        "no_image": sum(per_kind[:5]) - kept,
    }
    assert {name: sum(splits.values()) for name, splits in summary["classes"].items()} == (
        dict.fromkeys(sorted(CLASSES), SCALE_IMAGES // 7)
    )
    assert cost["python_mib"] < PYTHON_MIB
    assert cost["java_mib"] < 2 * HEAP_MIB  # the heap, and what the machine keeps beside it
