"""How many volunteers gave each answer, and that classes follow from that as from the catalogue."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.release_headers import HEADERS, MODERN, list_decals
from pyspark.sql import functions as F

from galaxy_tasks.acquisition.catalogue import plan_catalogue
from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.config import RunConfig, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.labels.vote_rules import label_rows
from galaxy_tasks.labels.votes import align_votes, count_votes, make_head
from galaxy_tasks.pipeline.clean_labels import clean_labels
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.ballots import Ballot, Question
from galaxy_tasks.simulation import draw_release
from galaxy_tasks.training.vote_head import read_vote_head

SHAPE = Question(name="roundness", answers=("round", "cigar"), columns=("r", "c"))
SMOOTH = Question(name="smooth_or_featured", answers=("smooth",), columns=("s",), total="n")


def count(spark, ballot: Ballot, rows: list[dict], folder: Path) -> dict[str, list[float]]:
    """Return the votes of each galaxy, through a file as in a run."""
    columns = ", ".join(f"`{name}` string" for name in ("galaxy_id", *ballot.columns))
    whole = spark.createDataFrame(rows, columns).withColumn(
        "is_broken", F.col("galaxy_id").startswith("b")
    )
    found = count_votes(whole, ballot)
    found.write.parquet(str(folder / "votes"))
    ids = sorted({row["galaxy_id"] for row in rows})
    return dict(zip(ids, align_votes(folder / "votes", ids, ballot).tolist(), strict=True))


def test_numbers_fractions_and_fractions_of_all_are_counted(spark, tmp_path):
    counts = Ballot(questions=(SHAPE,), counted_as="counts")
    rows = [{"galaxy_id": "1", "r": "30", "c": "12"}]
    assert count(spark, counts, rows, tmp_path / "a") == {"1": [30, 12]}
    shares = Ballot(questions=(SMOOTH,), counted_as="fractions")
    rows = [{"galaxy_id": "1", "s": "0.25", "n": "40"}, {"galaxy_id": "2", "s": None, "n": "40"}]
    assert count(spark, shares, rows, tmp_path / "b") == {"1": [10], "2": [0]}
    whole = Ballot(questions=(SHAPE,), counted_as="cumulative", volunteers=40)
    rows = [{"galaxy_id": "1", "r": "0.5", "c": "0.1"}]
    assert count(spark, whole, rows, tmp_path / "c") == {"1": [20, 4]}


def test_what_is_no_number_counts_nobody_and_is_told(spark, tmp_path, caplog):
    shares = Ballot(questions=(SHAPE,), counted_as="cumulative", volunteers=10)
    rows = [
        {"galaxy_id": "1", "r": "often", "c": "0.5"},
        {"galaxy_id": "2", "r": "1.5", "c": "-1"},
        {"galaxy_id": "3", "r": "nan", "c": None},
        {"galaxy_id": "4", "r": "1", "c": "0"},
        *({"galaxy_id": f"more {n}", "r": "1", "c": "0"} for n in range(40)),
    ]
    found = count(spark, shares, rows, tmp_path)
    assert found["1"] == [0, 5]
    assert found["2"] == found["3"] == [0, 0]
    assert found["4"] == [10, 0]
    assert "2 of 44 galaxies have a number of volunteers, or a share, that cannot" in caplog.text
    with pytest.raises(InputError, match=r"2 of 4 galaxies have .* in the columns r, c, …"):
        count(spark, shares, rows[:4], tmp_path / "few")


def test_of_several_rows_of_a_galaxy_the_largest_number_counts(spark, tmp_path):
    counts = Ballot(questions=(SHAPE,), counted_as="counts")
    rows = [{"galaxy_id": "1", "r": "3", "c": "9"}, {"galaxy_id": "1", "r": "4", "c": "1"}]
    assert count(spark, counts, rows, tmp_path) == {"1": [4, 9]}


@pytest.fixture(scope="module")
def labelled(spark, tmp_path_factory):
    """Labels of a simulated release with and without votes."""
    folder = tmp_path_factory.mktemp("votes")
    draw_release(folder, num_galaxies=200, seed=3, workers=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GALAXY_HOME", str(folder / "runs"))
        made = {}
        for target in ("classes", "votes"):
            config = RunConfig.model_validate(
                {
                    "release": "galaxy_zoo_challenge",
                    "source": str(folder),
                    "target": target,
                    "holdout": "ignore",
                    "class_names": {"cigar_shaped_smooth": "in_between_smooth"},
                }
            )
            made[target] = clean_labels(config, locate_release(config), spark=spark)
        yield made


def test_galaxies_of_no_class_are_used_too(labelled):
    with_votes, without = (
        pd.read_parquet(labelled[name].path / "labels.parquet").set_index("galaxy_id")
        for name in ("votes", "classes")
    )
    assert set(with_votes["label"]) == set(without["label"]) | {"contested"}
    assert len(with_votes) == 200 > len(without) > 50
    shared = without.index
    assert (with_votes.loc[shared, "label"] == without["label"]).all()
    assert set(with_votes["label"].drop(shared)) == {"contested"}
    assert "dropped" in labelled["votes"].manifest["summary"]
    assert labelled["votes"].manifest["summary"]["dropped"] == {}


def test_the_votes_are_those_of_the_catalogue(labelled):
    folder = labelled["votes"].path
    votes = np.load(folder / "votes.npy")
    table = pd.read_parquet(folder / "labels.parquet")
    head = read_vote_head(folder)
    assert head is not None
    assert votes.shape == (len(table), head.num_outputs) == (200, 37)
    source = pd.read_csv(folder.parents[2] / "training_solutions_rev1.csv", dtype={"GalaxyID": str})
    expected = source.set_index("GalaxyID").loc[table["galaxy_id"]].to_numpy() * 44
    np.testing.assert_allclose(votes, expected, rtol=1e-5)


def test_the_rules_give_the_label_of_the_catalogue_from_the_votes_alone(labelled):
    """As certain as volunteers in any number would be of the fractions as they were counted."""
    folder = labelled["votes"].path
    head, votes = read_vote_head(folder), np.load(folder / "votes.npy").astype(np.float64)
    assert head is not None
    fractions = np.nan_to_num(head.find_fractions(votes))
    is_met = np.stack(
        [
            np.logical_and.reduce(
                [
                    fractions[:, list(one.answers)].prod(axis=1) >= one.minimum - 1e-6
                    for one in rule.criteria
                ]
            )
            for rule in head.rules
        ]
    )
    names = np.array([rule.morphology for rule in head.rules])
    labels = np.where(is_met.sum(axis=0) == 1, names[is_met.argmax(axis=0)], head.contested)
    expected = pd.read_parquet(folder / "labels.parquet")["label"]
    assert (labels == expected).all()


@pytest.mark.parametrize("name", [name for name, one in RELEASES.items() if one.ballots])
def test_every_ballot_asks_for_published_columns(tmp_path, name):
    header = HEADERS["galaxy_zoo_challenge" if name == "simulated" else name]
    (tmp_path / "header.csv").write_text(",".join(header) + "\n")
    config = RunConfig.model_validate(
        {
            "release": name,
            "source": "" if name == "simulated" else str(tmp_path),
            "catalogue_file": "header.csv",
            "target": "votes",
        }
    )
    plan = plan_catalogue(config, tmp_path / "header.csv")
    assert plan.ballot is not None
    assert set(plan.ballot.columns) <= plan.columns.keys()
    asked = {answer.question for tree in RELEASES[name].trees for answer in tree.values()}
    assert {question.name for question in plan.ballot.questions} <= asked


def test_the_ballot_is_that_of_the_table(tmp_path):
    path = tmp_path / "header.csv"
    answers = []
    for header in (HEADERS["galaxy_zoo_decals"], list_decals(MODERN)):
        path.write_text(",".join(header) + "\n")
        config = RunConfig(release="galaxy_zoo_decals", source=str(tmp_path), target="votes")
        ballot = plan_catalogue(config, path).ballot
        assert ballot is not None
        answers.append({one.answer for one in ballot.answers if one.question == "bar"})
    assert answers == [{"yes", "no"}, {"strong", "weak", "no"}]


@pytest.fixture(scope="module")
def few(spark, tmp_path_factory):
    """Labels of galaxies that five volunteers saw, with votes; cigars are ignored and renamed."""
    folder = tmp_path_factory.mktemp("few")
    header = HEADERS["galaxy_zoo_decals"]
    (folder / "header.csv").write_text(",".join(header) + "\n")
    of_all = {"release": "galaxy_zoo_decals", "source": str(folder), "target": "votes"}
    config = RunConfig.model_validate(
        {
            **of_all,
            "ignored_classes": ["cigar_shaped_smooth"],
            "class_names": {"cigar_shaped_smooth": "smooth", "in_between_smooth": "smooth"},
        }
    )
    plan = plan_catalogue(config, folder / "header.csv")
    shares = {"round": "how-rounded_round", "cigar": "how-rounded_cigar-shaped", "none": ""}
    rows = []
    for name, answer in shares.items():
        row = dict.fromkeys(plan.columns, "0") | {"galaxy_id": name, "ra": None, "dec": None}
        row |= {f"{one}_total-votes": "5" for one in ("smooth-or-featured", "how-rounded")}
        row["smooth-or-featured_smooth_fraction"] = "1"
        rows.append(row | ({f"{answer}_fraction": "1"} if answer else {}))
    names = list(rows[0])
    table = spark.createDataFrame(
        [tuple(row[name] for name in names) for row in rows],
        ", ".join(f"`{name}` string" for name in names),
    ).withColumn("is_broken", F.lit(False))
    labelled = label_rows(
        table,
        plan.scheme,
        minimum_votes=config.required_votes,
        ignored_classes=config.ignored_classes,
        class_names=config.class_names,
        has_contested=True,
    )
    found = {row["galaxy_id"]: row.asDict() for row in labelled.collect()}
    return config, plan, found


def test_few_volunteers_make_a_class_where_their_votes_are_learned(few):
    config, _, found = few
    assert RunConfig().required_votes == config.minimum_votes == 20
    assert found["round"]["label"] == "completely_round_smooth"
    assert found["round"]["agreement"] == 1
    assert found["none"]["label"] == "contested"
    assert found["none"]["agreement"] is None


def test_an_ignored_class_keeps_its_name_to_the_network_too(few):
    config, plan, found = few
    assert found["cigar"]["label"] == "cigar_shaped_smooth"
    assert found["cigar"]["reason"] == "ignored_class"
    head = make_head(config, plan.ballot, plan.scheme, plan.release, ["contested", "smooth"])
    assert {"cigar_shaped_smooth", "smooth"} < {rule.morphology for rule in head.rules}


def test_votes_are_asked_of_volunteers_alone():
    for settings in (
        {"release": "galaxy_zoo_desi", "source": "/d"},
        {"release": "class_table", "source": "/d"},
        {"release": "galaxy_zoo_2", "source": "/d", "scheme": "gz2_class"},
        {
            **{"release": "galaxy_zoo_2", "source": "/d"},
            "combine": [{"release": "galaxy_zoo_hubble", "source": "/h"}],
        },
    ):
        with pytest.raises(InputError, match="'target' 'votes' needs one release whose volunteers"):
            parse_config({**settings, "target": "votes"})
