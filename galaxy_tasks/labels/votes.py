"""How many volunteers gave each answer: DataFrame in, DataFrame out.

A cell that holds no number of its range, as one that is empty, counts nobody: its question then has
fewer answers, or none.
"""

import logging
from collections.abc import Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.labels.cells import MOST_UNREADABLE
from galaxy_tasks.labels.vote_rules import CONTESTED, ROUNDING
from galaxy_tasks.releases.ballots import Ballot
from galaxy_tasks.releases.questions import Answer
from galaxy_tasks.releases.schema import Release, VoteScheme
from galaxy_tasks.training.vote_head import Criterion, Rule, VoteHead

MOST_VOLUNTEERS = 10_000
"""More have looked at no galaxy: Galaxy Zoo shows each to a few dozen, sometimes a hundred."""
_compute: Any = pyarrow.compute  # its stubs lack most functions
_logger = logging.getLogger(__name__)


def count_votes(rows: DataFrame, ballot: Ballot) -> DataFrame:
    """Return galaxy_id, a column for each answer (`name_column`), and is_unreadable, once a galaxy.

    Where rows of one galaxy differ, the largest number counts. `rows` have galaxy_id, is_broken and
    the ballot's columns, as text or double.
    """
    counts = dict(enumerate(_list_counts(ballot)))
    is_unreadable = reduce(or_, (_is_unreadable(name, ballot) for name in ballot.columns))
    return (
        rows.where(~F.col("is_broken"))
        .select(
            F.trim(F.col("galaxy_id").cast("string")).alias("galaxy_id"),
            *(count.alias(name_column(number)) for number, count in counts.items()),
            is_unreadable.alias("is_unreadable"),
        )
        .groupBy("galaxy_id")
        .agg(
            *(F.max(name_column(number)).alias(name_column(number)) for number in counts),
            F.max("is_unreadable").alias("is_unreadable"),
        )
    )


def name_column(number: int) -> str:
    """Return the name of the column of an answer, counted from 0."""
    return f"answer_{number}"


def _list_counts(ballot: Ballot) -> list[Column]:
    counts = []
    for question in ballot.questions:
        whole = _read(question.total, ballot) if question.total else F.lit(ballot.volunteers)
        for column in question.columns:
            share = _read(column, ballot)
            counts.append(share if ballot.counted_as == "counts" else share * whole)
    return counts


def _read(name: str, ballot: Ballot) -> Column:
    """Return a cell's number; 0 where it has none."""
    return F.when(_is_good(name, ballot), _parse(name)).otherwise(F.lit(0.0))


def _parse(name: str) -> Column:
    return F.col(f"`{name}`").try_cast("double")


def _is_good(name: str, ballot: Ballot) -> Column:
    are_counts = ballot.counted_as == "counts" or name in {one.total for one in ballot.questions}
    # Spark orders NaN above every number, so that it is in no range.
    highest = MOST_VOLUNTEERS if are_counts else 1 + ROUNDING
    return F.coalesce(_parse(name).between(0.0, highest), F.lit(False))


def _is_unreadable(name: str, ballot: Ballot) -> Column:
    return F.col(f"`{name}`").isNotNull() & ~F.isnan(_parse(name)) & ~_is_good(name, ballot)


def align_votes(folder: Path, own_ids: list[str], ballot: Ballot) -> NDArray[np.float32]:
    """Return the votes of galaxies, (galaxies, answers), from what `count_votes` was written to.

    Logs how many galaxies have a cell that cannot be read.

    Raises:
        InputError: more than MOST_UNREADABLE of them have.
    """
    names = [name_column(number) for number in range(len(ballot.answers))]
    table = pq.read_table(folder, filters=[("galaxy_id", "in", own_ids)])
    place = _compute.index_in(pa.array(own_ids, pa.string()), value_set=table["galaxy_id"])
    found = table.take(place)
    unreadable = int(np.count_nonzero(found["is_unreadable"].to_numpy(zero_copy_only=False)))
    if unreadable:
        told = (
            f"{unreadable:,} of {len(own_ids):,} galaxies have a number of volunteers, or a share, "
            f"that cannot be read. Expected: up to {MOST_VOLUNTEERS:,} volunteers, shares from 0 "
            f"to 1, or empty cells, in the columns {', '.join(ballot.columns[:3])}, …"
        )
        if unreadable > MOST_UNREADABLE * len(own_ids):
            raise InputError(told)
        _logger.warning("%s They count as none.", told)
    return np.stack([found[name].to_numpy() for name in names], axis=1).astype(np.float32)


def make_head(
    config: RunConfig, ballot: Ballot, scheme: VoteScheme, release: Release, classes: list[str]
) -> VoteHead:
    """Return how classes follow from the answers: by the rules that label the volunteers' votes.

    Rules on debiased or weighted fractions hold for those of all volunteers alike, since these are
    what a network learns. Numbers of volunteers are not predicted, and make no difference.
    """
    numbers = {answer: number for number, answer in enumerate(ballot.answers)}
    ignored = config.ignored_classes
    names = {old: new for old, new in config.class_names.items() if old not in ignored}
    is_cumulative = release.votes is not None and release.votes.base == "cumulative"
    rules = tuple(
        Rule(
            names.get(rule.morphology.value, rule.morphology.value),
            tuple(
                Criterion(
                    _list_path(_find(release, one.column), ballot, numbers, is_cumulative),
                    one.minimum,
                )
                for one in rule.criteria
            ),
        )
        for rule in scheme.rules
    )
    return VoteHead(
        classes=tuple(classes),
        questions={one.name: one.answers for one in ballot.questions},
        rules=rules,
        contested=names.get(CONTESTED, CONTESTED),
        parents={
            question: numbers[Answer(question=asked, answer=answer)]
            for question, (asked, answer) in ballot.parents.items()
        },
    )


def _find(release: Release, column: str) -> Answer:
    answer = release.find_answer(column)
    assert answer is not None, column  # rules are on votes; a test goes through all releases
    return answer


def _list_path(
    answer: Answer, ballot: Ballot, numbers: Mapping[Answer, int], is_cumulative: bool
) -> tuple[int, ...]:
    """Return the answers whose fractions a rule's fraction is the product of."""
    path = [numbers[answer]]
    while is_cumulative and (parent := ballot.parents.get(answer.question)):
        answer = Answer(question=parent[0], answer=parent[1])
        path.append(numbers[answer])
    return tuple(path)
