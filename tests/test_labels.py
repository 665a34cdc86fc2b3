import csv
import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from galaxy_tasks import cleaning, splitting
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.labels import clean_labels, main
from galaxy_tasks.release_files import locate_release
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.files import read_table_header
from galaxy_tasks.releases.rules import GivenScheme
from galaxy_tasks.spark_tables import read_rows

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs the real data in {SHARED}")
CHALLENGE = RELEASES["galaxy_zoo_challenge"].schemes["clean5"]
GZ2 = RELEASES["galaxy_zoo_2"].schemes


def make_rows(spark, columns, rows):
    """Return rows as `cleaning` expects them; cells are text, positions are unknown."""
    table = {name: [row[i] for row in rows] for i, name in enumerate(columns)}
    frame = spark.createDataFrame(pa.table({k: pa.array(v, pa.string()) for k, v in table.items()}))
    for name in {"ra", "dec"} - set(columns):
        frame = frame.withColumn(name, F.lit(None).cast("string"))
    return frame.withColumn("is_broken", F.lit(False))


def label(rows, scheme, *, minimum_votes=0, ignored_classes=()):
    """Return {galaxy_id: (label, reason)}."""
    labelled = cleaning.label_rows(
        rows, scheme, minimum_votes=minimum_votes, ignored_classes=ignored_classes
    )
    return {row["galaxy_id"]: (row["label"], row["reason"]) for row in labelled.collect()}


def count(labelled):
    return dict(Counter(name or reason for name, reason in labelled.values()))


def read_real(spark, path, scheme, id_column):
    header = read_table_header(path)
    columns = {name: header.find([name]) for name in scheme.fraction_columns}
    rows = read_rows(spark, header, {"galaxy_id": header.find([id_column]), **columns})
    nothing = F.lit(None).cast("string")
    return rows.withColumn("ra", nothing).withColumn("dec", nothing)


@needs_shared
def test_real_challenge_votes_give_the_known_clean_sample(spark):
    folder = SHARED / "galaxy_zoo_challenge"
    rows = read_real(spark, folder / "training_solutions_rev1_103rows.csv", CHALLENGE, "GalaxyID")
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
def test_real_galaxy_zoo_2_votes_give_the_known_counts(spark):
    path = SHARED / "catalogues" / "gz2_catalogue_288rows.csv"
    labelled = label(read_real(spark, path, GZ2["clean5"], "objid"), GZ2["clean5"])
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
        "wrong": (None, "malformed"),
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
        "Sx2m": "malformed",
        "SBb2": "malformed",
        "merge": "malformed",
        "": "malformed",
    }
    cells = [(str(number), text) for number, text in enumerate(expected)] + [("null", None)]
    labelled = label(make_rows(spark, ("galaxy_id", "gz2_class"), cells), GZ2["gz2_class"])
    found = [name or reason for name, reason in labelled.values()]
    assert found == [*expected.values(), "malformed"]


def test_what_is_no_id_or_no_fraction_is_malformed_and_quoted(spark):
    cells = {
        "good": ("587722981741363294", *ROUND),
        "no id": ("", *ROUND),
        "null id": (None, *ROUND),
        "nan id": ("NaN", *ROUND),
        "float id": ("5.87722981741363E+17", *ROUND),
        "point id": ("587722981741363294.0", *ROUND),
        "text": ("1", "many", *ROUND[1:]),
        "empty": ("2", None, *ROUND[1:]),
        "above": ("3", "1.01", *ROUND[1:]),
        "below": ("4", "-0.1", *ROUND[1:]),
        "nan": ("5", "NaN", *ROUND[1:]),
        "rounded sum": ("6", "1.0000001", *ROUND[1:]),
        "spaces": ("  7 ", " 0.7 ", *ROUND[1:]),
    }
    rows = make_rows(spark, ("galaxy_id", *VOTES), list(cells.values()))
    judged = cleaning.label_rows(rows, CHALLENGE, minimum_votes=0, ignored_classes=()).collect()
    good = {"good", "rounded sum", "spaces"}
    assert {name for name, row in zip(cells, judged, strict=True) if row["label"]} == good
    assert {row["reason"] for row in judged} == {None, "malformed"}
    details = {name: row["detail"] for name, row in zip(cells, judged, strict=True)}
    assert details["float id"] == "id is a floating-point number"
    assert details["nan id"] == "no id"
    assert details["text"] == "Class1.1=many"
    assert details["empty"] == "Class1.1=nothing"
    assert judged[-1]["galaxy_id"] == "7"


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
        ("malformed too", "spiral"),
        ("malformed too", ""),
        ("once", "edge_on"),
    ]
    rows = make_rows(spark, ("galaxy_id", "class"), cells)
    labelled = cleaning.label_rows(
        rows, GivenScheme(column="class"), minimum_votes=20, ignored_classes=("dont_know",)
    )
    judged = cleaning.drop_repeats(labelled).collect()
    found = Counter((row["galaxy_id"], row["reason"]) for row in judged)
    assert found == {
        ("same", None): 1,
        ("same", "duplicate"): 2,
        ("differ", "contradictory"): 2,
        ("ignored and not", "contradictory"): 2,
        ("ignored", "ignored_class"): 1,
        ("malformed too", None): 1,
        ("malformed too", "malformed"): 1,
        ("once", None): 1,
    }
    assert {row["detail"] for row in judged if row["galaxy_id"] == "differ"} == {"edge_on, spiral"}


def test_csv_rows_survive_marks_blank_lines_and_quotes_and_broken_ones_are_told(spark, tmp_path):
    folder = tmp_path / "a [b] {c} *d"  # wildcards, if they were not escaped
    folder.mkdir()
    text = (
        '\ufeffid,note,class,extra\r\n587722981741363294,"a, ""b""",spiral,1\r\n\r\n'
        "2,,edge_on,\r\n3,x,spiral,1,1\r\n4,x,spi"
    )
    (folder / "t.csv").write_bytes(text.encode())
    (folder / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("t.csv", "t.csv.gz"):
        table = read_table_header(folder / name)
        rows = read_rows(spark, table, {"galaxy_id": "id", "class": "class", "note": "note"})
        assert [tuple(row) for row in rows.collect()] == [
            ("587722981741363294", "spiral", 'a, "b"', False),
            ("2", "edge_on", None, False),
            ("3", "spiral", "x", True),
            ("4", "spi", "x", True),
        ]
        assert rows.count() == 4


def test_parquet_ids_and_single_precision_fractions_stay_exact(spark, tmp_path):
    ids = [587722981741363294, 587722981741363295]
    columns = {"id": ids, "Class1.1": pa.array([0.469, 0.5], pa.float32()), "n": [0.25, 1.0]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    table = read_table_header(tmp_path / "t.parquet")
    rows = read_rows(spark, table, {"galaxy_id": "id", "f": "Class1.1", "n": "n"})
    assert [tuple(row) for row in rows.collect()] == [
        ("587722981741363294", "0.469", 0.25, False),
        ("587722981741363295", "0.5", 1.0, False),
    ]


def test_a_place_on_the_sky_is_one_group_however_it_is_written(spark):
    cells = [
        ("decimal", "150.0000", "-0.5083"),
        ("arcsecond away", "150.0002", "-0.5085"),
        ("sexagesimal", "10:00:00.00", "-00:30:30"),
        ("north", "10:00:00", "+00:30:30"),
        ("no position", None, "-0.5"),
        ("no number", "NaN", "x"),
        ("off the sky", "361", "0"),
    ]
    rows = make_rows(spark, ("galaxy_id", "ra", "dec"), cells)
    group = splitting.name_sky_group(
        splitting.parse_position(F.col("ra"), F.col("dec")), F.col("galaxy_id")
    )
    found = {row[0]: row[1] for row in rows.select("galaxy_id", group).collect()}
    # 89.4917 degrees from the south pole are 5369 whole arcminutes; 150 degrees are 9000
    # arcminutes, times cos(-0.508 degrees) = 0.99996.
    assert found["decimal"] == "sky:5369:8999"
    assert found["arcsecond away"] == found["sexagesimal"] == found["decimal"]
    assert found["north"] == "sky:5430:8999"
    for name in ("no position", "no number", "off the sky"):
        assert found[name] == f"id:{name}"


def test_the_test_is_a_hash_that_anybody_can_repeat_and_only_grows(spark):
    groups = [f"id:{number}" for number in range(2000)]
    frame = spark.createDataFrame(pa.table({"group": groups}))
    chosen = {
        fraction: {
            row[0]
            for row in frame.where(
                splitting.is_in_test(F.col("group"), test_fraction=fraction)
            ).collect()
        }
        for fraction in (0.1, 0.3)
    }
    shares = {g: int(hashlib.sha256(g.encode()).hexdigest()[:8], 16) / 2**32 for g in groups}
    for fraction, found in chosen.items():
        assert found == {group for group in groups if shares[group] < fraction}
        assert len(found) / 2000 == pytest.approx(fraction, abs=0.03)
    assert chosen[0.1] < chosen[0.3]


def test_validation_is_stratified_repeatable_and_has_every_class():
    labels = np.array([0] * 700 + [1] * 297 + [2] * 3)
    first, again, other = (
        splitting.choose_validation(
            labels, validation_fraction=0.2, seed=seed, groups=np.arange(1000)
        )
        for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()
    assert [int(first[labels == name].sum()) for name in (0, 1)] == [140, 59]
    assert first[labels == 2].sum() == 1


@pytest.mark.parametrize("fraction", [0.02, 0.5])
def test_the_rarest_class_has_one_for_validation_and_two_for_training(fraction):
    labels = np.array([0] * 31 + [1] * 3 + [2] * 3)
    for seed in range(20):
        chosen = splitting.choose_validation(
            labels, validation_fraction=fraction, seed=seed, groups=np.arange(37)
        )
        assert [int(chosen[labels == name].sum()) for name in (1, 2)] == [1, 1]


def test_classes_too_small_to_split_are_named_with_what_they_have():
    with pytest.raises(InputError, match=r"2 class\(es\).*: b \(0 in the test, 9 in the rest\); c"):
        splitting.check_class_counts({"a": 5, "c": 1}, {"a": 9, "b": 9, "c": 2})
    with pytest.raises(InputError, match="Only one class is left, a"):
        splitting.check_class_counts({"a": 5}, {"a": 9})


# The whole step, on a table with something of everything.


def write_source(folder: Path, lines: list[str], *, images: int = 120) -> Path:
    (folder / "images").mkdir(parents=True)
    for number in range(images):
        (folder / "images" / f"{number}.jpeg").write_bytes(b"x")
    (folder / "labels.csv").write_text("id,class\n" + "\n".join(lines) + "\n")
    return folder


def good_lines(galaxies: int = 100) -> list[str]:
    return [f"{number},{('edge_on', 'spiral')[number % 2]}" for number in range(galaxies)]


def class_table(folder: Path, **settings) -> RunConfig:
    return RunConfig(release="class_table", source=str(folder), **settings)


def clean(spark, config: RunConfig):
    return clean_labels(config, locate_release(config), spark=spark)


def read_labels(artifact) -> pd.DataFrame:
    return pd.read_parquet(artifact.path / "labels.parquet").set_index("galaxy_id")


def test_every_row_is_kept_or_quarantined_with_its_reason(spark, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    dropped = ["100,dont_know", "101,spiral", "101,edge_on", "1,spiral", ",spiral", "500,spiral"]
    source = write_source(tmp_path / "source", good_lines() + dropped)
    config = class_table(source, ignored_classes=("dont_know", "never_there"))
    artifact = clean(spark, config)
    summary = artifact.manifest["summary"]
    assert summary["rows_in"] == 106
    assert summary["kept"] == 100
    assert summary["dropped"] == {
        "malformed": 1,
        "contradictory": 2,
        "ignored_class": 1,
        "duplicate": 1,
        "no_image": 1,
    }
    labels = read_labels(artifact)
    assert list(labels.columns) == [
        *("image_name", "label", "label_index", "split"),
        *("release", "release_index", "ra_degrees", "dec_degrees"),
    ]
    assert json.loads((artifact.path / "classes.json").read_text()) == ["edge_on", "spiral"]
    assert (labels["label_index"] == (labels["label"] == "spiral")).all()
    assert (labels["image_name"] == labels.index + ".jpeg").all()
    counts = labels.groupby(["label", "split"]).size().unstack().to_dict("index")
    assert summary["classes"] == counts
    assert sum(sum(splits.values()) for splits in summary["classes"].values()) == 100
    quarantine = pd.read_parquet(artifact.path / "quarantine.parquet")
    assert set(quarantine.loc[quarantine.reason == "ignored_class", "image_name"]) == {"100.jpeg"}
    assert list(quarantine.columns) == ["galaxy_id", "image_name", "reason", "detail"]
    printed = capsys.readouterr().out
    assert "'never_there' does not occur" in printed
    assert "  dropped: contradictory                     2\n" in printed
    files = {path.name.split("-")[0] for path in artifact.path.rglob("*") if path.is_file()}
    assert files == {"manifest.json", "classes.json", "labels.parquet", "_SUCCESS", "part"}


def test_the_same_settings_return_the_labels_that_are_there(spark, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    config = class_table(write_source(tmp_path / "source", good_lines()))
    first = clean(spark, config)
    capsys.readouterr()
    assert clean(spark, config) == first
    assert capsys.readouterr().out == f"Labels are there already: {first.path}\n"


def test_order_of_rows_changes_nothing_and_the_seed_only_validation(spark, tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    forwards = write_source(tmp_path / "a", good_lines())
    backwards = write_source(tmp_path / "b", good_lines()[::-1])
    first = read_labels(clean(spark, class_table(forwards)))
    assert read_labels(clean(spark, class_table(backwards))).equals(first)
    reseeded = read_labels(clean(spark, class_table(forwards, seed=1)))
    assert ((reseeded["split"] == "test") == (first["split"] == "test")).all()
    assert (reseeded["split"] != first["split"]).any()


def test_galaxy_zoo_2_images_are_found_through_the_mapping(spark, tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    (tmp_path / "images").mkdir()
    base = 587722981741363000
    catalogue, mapping = ["dr7objid,ra,dec,gz2class"], ["objid,sample,asset_id"]
    for number in range(60):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(b"x")
        catalogue.append(f"{base + number},{number},0.5,{('Er', 'SBb2m(o)')[number % 2]}")
        mapping.append(f"{base + number},original,{number}")
    catalogue += [f"{base + 60},1,1,A", f"{base + 61},1,1,Er", f"{base + 62},1,1,Er"]
    mapping += [f"{base + 60},original,5", f"{base + 61},original,999"]
    (tmp_path / "zoo2MainSpecz.csv").write_text("\n".join(catalogue))
    (tmp_path / "gz2_filename_mapping.csv").write_text("\n".join(mapping))
    config = RunConfig(release="galaxy_zoo_2", source=str(tmp_path), scheme="gz2_class")
    artifact = clean(spark, config)
    assert artifact.manifest["summary"]["dropped"] == {"artifact": 1, "no_image": 2}
    labels = read_labels(artifact)
    assert len(labels) == 60
    assert tuple(labels.loc[f"{base + 7}", ["image_name", "label"]]) == ("7.jpg", "barred_spiral")
    quarantine = pd.read_parquet(artifact.path / "quarantine.parquet").set_index("galaxy_id")
    assert quarantine.loc[f"{base + 60}", "image_name"] == "5.jpg"


def test_labels_without_a_galaxy_left_say_where_all_rows_went(spark, tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    lines = ["900,spiral", "901,edge_on", "902,"]
    config = class_table(write_source(tmp_path / "source", lines))
    with pytest.raises(
        InputError, match=r"No galaxy is left of 3 rows.*'malformed': 1.*'no_image': 2"
    ):
        clean(spark, config)
    assert not list((tmp_path / "runs" / "labels").glob("*/manifest.json"))


def test_a_damaged_parquet_catalogue_is_an_input_error(spark, tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    source = write_source(tmp_path / "source", [])
    (source / "labels.csv").unlink()
    ids = [str(number) for number in range(5000)]
    table = pa.table({"id": ids, "class": ["spiral"] * 5000})
    pq.write_table(table, source / "labels.parquet", use_dictionary=False)
    content = bytearray((source / "labels.parquet").read_bytes())
    content[100:8000] = b"\0" * 7900
    (source / "labels.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read .*labels\.parquet: the file is damaged"):
        clean(spark, class_table(source))


def test_the_application_ends_with_65_and_one_line_where_a_setting_is_wrong(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--settings", '{"epochs": 0}', "--release-files", "{}"])
    assert caught.value.code == 65
    assert capsys.readouterr().out.startswith("ERROR: Settings were refused:\n  epochs: ")
