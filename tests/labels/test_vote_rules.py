"""Every row gets its one label or the reason why it has none."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from fixtures.label_inputs import make_rows
from pyspark.sql import functions as F

from galaxy_tasks.acquisition.tables import read_table_header
from galaxy_tasks.labels import vote_rules
from galaxy_tasks.labels.spark_io import read_rows
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.schema import GivenScheme

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs the real data in {SHARED}")
CHALLENGE = RELEASES["galaxy_zoo_challenge"].schemes["clean5"]
GZ2 = RELEASES["galaxy_zoo_2"].schemes


def label(rows, scheme, *, minimum_votes=0, ignored_classes=()):
    """Return {galaxy_id: (label, reason)}."""
    labelled = vote_rules.label_rows(
        rows, scheme, minimum_votes=minimum_votes, ignored_classes=ignored_classes
    )
    return {row["galaxy_id"]: (row["label"], row["reason"]) for row in labelled.collect()}


def count(labelled):
    return dict(Counter(name or reason for name, reason in labelled.values()))


def read_real(spark, path, scheme, id_column, *, copy):
    header = read_table_header(path)
    columns = {name: header.find([name]) for name in scheme.fraction_columns}
    rows = read_rows(spark, header, {"galaxy_id": header.find([id_column]), **columns}, copy=copy)
    nothing = F.lit(None).cast("string")
    return rows.withColumn("ra", nothing).withColumn("dec", nothing)


@needs_shared
def test_real_challenge_votes_give_the_known_clean_sample(spark, tmp_path):
    folder = SHARED / "galaxy_zoo_challenge"
    path, copy = folder / "training_solutions_rev1_103rows.csv", tmp_path / "copy.parquet"
    rows = read_real(spark, path, CHALLENGE, "GalaxyID", copy=copy)
    labelled = label(rows, CHALLENGE)
    assert count(labelled) == {
        "completely_round_smooth": 20,
        "in_between_smooth": 18,
        "cigar_shaped_smooth": 1,
        "edge_on": 2,
        "spiral": 16,
        "contested_no_rule": 46,
    }
    with (folder / "training_classes.csv").open() as file:
        given = {row["GalaxyID"]: row["class"] for row in csv.DictReader(file)}
    assert {name: found or "not_in_clean_sample" for name, (found, _) in labelled.items()} == {
        name: given[name] for name in labelled
    }


@needs_shared
def test_real_galaxy_zoo_2_votes_give_the_known_counts(spark, tmp_path):
    path = SHARED / "catalogues" / "gz2_catalogue_288rows.csv"
    rows = read_real(spark, path, GZ2["clean5"], "objid", copy=tmp_path / "copy.parquet")
    labelled = label(rows, GZ2["clean5"])
    assert count(labelled) == {
        "spiral": 149,
        "edge_on": 46,
        "completely_round_smooth": 14,
        "in_between_smooth": 12,
        "cigar_shaped_smooth": 2,
        "contested_no_rule": 55,
        "contested_several_rules": 10,
    }
    assert all(len(name) == 18 for name in labelled)


VOTES = [f"Class{answer}" for answer in (1.1, 1.2, 2.1, 2.2, 4.1, 7.1, 7.2, 7.3)]
ROUND = ("0.7", "0.2", "0", "0", "0", "0.6", "0.1", "0")


def test_a_fraction_on_its_threshold_counts_and_one_below_does_not(spark):
    rows = make_rows(
        spark,
        ("galaxy_id", *VOTES),
        [
            ("on", "0.469", "0", "0", "0", "0", "0.5", "0", "0"),
            ("below", "0.4689999", "0", "0", "0", "0", "0.5", "0", "0"),
            ("spiral", "0", "0.430", "0", "0.715", "0.619", "0", "0", "0"),
            ("edge", "0", "0.43", "0.602", "0", "0", "0", "0", "0"),
            ("both", "0.5", "0.5", "0.602", "0", "0", "0", "5e-1", "0"),
        ],
    )
    assert label(rows, CHALLENGE) == {
        "on": ("completely_round_smooth", None),
        "below": (None, "contested_no_rule"),
        "spiral": ("spiral", None),
        "edge": ("edge_on", None),
        "both": (None, "contested_several_rules"),
    }


def test_agreement_is_the_smallest_fraction_that_a_label_rests_on(spark):
    cells = [
        ("round", "0.95", "0", "0", "0", "0", "0.6", "0", "0"),
        ("none", "0.4", "0", "0", "0", "0", "0.6", "0", "0"),
    ]
    rows = make_rows(spark, ("galaxy_id", *VOTES), cells)
    labelled = vote_rules.label_rows(rows, CHALLENGE, minimum_votes=0, ignored_classes=())
    found = {row["galaxy_id"]: (row["label"], row["agreement"]) for row in labelled.collect()}
    assert found == {"round": ("completely_round_smooth", 0.6), "none": (None, None)}


def test_every_question_of_a_rule_needs_the_minimum_of_votes(spark):
    names = (*GZ2["clean5"].fraction_columns, *GZ2["clean5"].vote_columns)
    zeros = dict.fromkeys(names, "0")
    smooth = {
        "t01_smooth_or_features_a01_smooth_debiased": "0.9",
        "t07_rounded_a16_completely_round_debiased": "0.9",
        "t01_smooth_or_features_a01_smooth_count": "30",
        "t07_rounded_a16_completely_round_count": "15",
    }
    enough = zeros | smooth | {"t07_rounded_a17_in_between_count": "5"}
    few = zeros | smooth | {"t07_rounded_a17_in_between_count": "4"}
    wrong = enough | {"t07_rounded_a18_cigar_shaped_count": "-1"}
    cells = [("enough", *enough.values()), ("few", *few.values()), ("wrong", *wrong.values())]
    rows = make_rows(spark, ("galaxy_id", *names), cells)
    round_ = "completely_round_smooth"
    assert label(rows, GZ2["clean5"], minimum_votes=20) == {
        "enough": (round_, None),
        "few": (None, "contested_no_rule"),
        "wrong": (None, "unreadable"),
    }
    assert count(label(rows, GZ2["clean5"])) == {round_: 3}


def test_the_shorthand_is_read_by_its_grammar(spark):
    expected = {
        "Er": "completely_round_smooth",
        "Ei(o)": "in_between_smooth",
        "Ec": "cigar_shaped_smooth",
        "Ser(m)": "edge_on",
        "Sen": "edge_on",
        "SBb2m": "barred_spiral",
        "SBc?t(r)": "barred_spiral",
        "Sc+l": "spiral",
        "Sa1t(d)": "spiral",
        "SBb": "featured_without_spiral",
        "Sb(u)": "featured_without_spiral",
        "A": "artifact",
        "Sx2m": "unreadable",
        "SBb2": "unreadable",
        "merge": "unreadable",
        "": "missing_value",
    }
    cells = [(str(number), text) for number, text in enumerate(expected)] + [("null", None)]
    labelled = label(make_rows(spark, ("galaxy_id", "gz2_class"), cells), GZ2["gz2_class"])
    found = [name or reason for name, reason in labelled.values()]
    assert found == [*expected.values(), "missing_value"]


def test_what_is_no_id_or_no_fraction_is_told_from_what_is_absent_and_quoted(spark):
    cells = {
        "good": ("587722981741363294", *ROUND),
        "no id": ("", *ROUND),
        "null id": (None, *ROUND),
        "float id": ("5.87722981741363E+17", *ROUND),
        "point id": ("587722981741363294.0", *ROUND),
        "java's float id": ("5.87722981741363E17", *ROUND),
        "short float id": ("5e+17", *ROUND),
        "hexadecimal id": ("123e4567", *ROUND),
        "short hexadecimal id": ("12e4", *ROUND),
        "text": ("1", "many", *ROUND[1:]),
        "empty": ("2", None, *ROUND[1:]),
        "above": ("3", "1.01", *ROUND[1:]),
        "below": ("4", "-0.1", *ROUND[1:]),
        "nan": ("5", "NaN", *ROUND[1:]),
        "rounded sum": ("6", "1.0000001", *ROUND[1:]),
        "spaces": ("  7 ", " 0.7 ", *ROUND[1:]),
    }
    rows = make_rows(spark, ("galaxy_id", *VOTES), list(cells.values()))
    judged = vote_rules.label_rows(rows, CHALLENGE, minimum_votes=0, ignored_classes=()).collect()
    good = {"good", "hexadecimal id", "short hexadecimal id", "rounded sum", "spaces"}
    assert {name for name, row in zip(cells, judged, strict=True) if row["label"]} == good
    reasons = {name: row["reason"] for name, row in zip(cells, judged, strict=True)}
    missing = {"no id", "null id", "empty"}
    assert {name for name, reason in reasons.items() if reason == "missing_value"} == missing
    assert {reasons[name] for name in cells.keys() - missing - good} == {"unreadable"}
    details = {name: row["detail"] for name, row in zip(cells, judged, strict=True)}
    assert details["float id"] == "galaxy_id=5.87722981741363E+17"
    assert details["no id"] == "galaxy_id is empty"
    assert details["text"] == "Class1.1=many"
    assert details["empty"] == "Class1.1 is empty"
    assert judged[-1]["galaxy_id"] == "7"


def test_only_an_empty_cell_is_a_missing_class(spark):
    texts = ["none", "None", "null", "nan", "-", "", None, "  "]
    rows = make_rows(spark, ("galaxy_id", "class"), [(f"g{i}", t) for i, t in enumerate(texts)])
    labelled = label(rows, GivenScheme(column="class"))
    assert [labelled[f"g{i}"] for i in range(8)] == [
        *((text, None) for text in texts[:5]),
        *[(None, "missing_value")] * 3,
    ]


@pytest.mark.parametrize("column", ["sky_group", "RA_degrees", "fault", "count", "label"])
def test_a_catalogues_column_may_have_any_name(spark, column):
    cells = [("a", "10.0", "20.0", "spiral"), ("b", None, None, "")]
    rows = make_rows(spark, ("galaxy_id", "ra", "dec", column), cells)
    assert label(rows, GivenScheme(column=column)) == {
        "a": ("spiral", None),
        "b": (None, "missing_value"),
    }


def test_repeated_galaxies_are_kept_once_and_contradictions_not_at_all(spark):
    cells = [
        ("same", "spiral"),
        ("same", " spiral"),
        ("same", "spiral"),
        ("differ", "spiral"),
        ("differ", "edge_on"),
        ("ignored and not", "spiral"),
        ("ignored and not", "dont_know"),
        ("ignored", "dont_know"),
        ("empty too", "spiral"),
        ("empty too", ""),
        ("once", "edge_on"),
    ]
    rows = make_rows(spark, ("galaxy_id", "class"), cells)
    labelled = vote_rules.label_rows(
        rows, GivenScheme(column="class"), minimum_votes=20, ignored_classes=("dont_know",)
    )
    judged = vote_rules.flag_duplicates(labelled).collect()
    found = Counter((row["galaxy_id"], row["reason"]) for row in judged)
    assert found == {
        ("same", None): 1,
        ("same", "duplicate"): 2,
        ("differ", "contradictory"): 2,
        ("ignored and not", "contradictory"): 2,
        ("ignored", "ignored_class"): 1,
        ("empty too", None): 1,
        ("empty too", "missing_value"): 1,
        ("once", None): 1,
    }
    assert {row["detail"] for row in judged if row["galaxy_id"] == "differ"} == {"edge_on, spiral"}
