"""Promoting what was decided: whatever is killed or runs beside it, one whole champion is left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.registry_inputs import (
    CLASSES,
    OBSERVED,
    add_version,
    publish_evaluation,
    publish_model,
)

from galaxy_tasks.pipeline.promote import describe_challenger, promote
from galaxy_tasks.registry import champions, models
from galaxy_tasks.registry.store import open_store

NAME = models.name_model(OBSERVED, CLASSES)
PROMOTER = Path(__file__).with_name("promoter.py")


@pytest.mark.parametrize("rounds", [10, pytest.param(40, marks=pytest.mark.slow)])
def test_kills_at_any_moment_leave_one_champion_and_it_is_whole(home, rounds):
    with open_store() as client:
        versions = [add_version(client, number, name=NAME) for number in (1, 2, 3)]
        champions.promote(client, versions[0], reason="the first")
    answer = subprocess.run(
        [sys.executable, str(PROMOTER), NAME, str(rounds), "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    numbers = answer.stdout.split()
    assert len(numbers) == rounds
    assert len(set(numbers)) > 1  # the kills did not all come before the first change


def test_who_is_asked_reads_what_is_decided_and_where_the_report_is(home):
    promote(publish_evaluation(publish_model(1), is_promoted=True).key)
    asked = publish_evaluation(publish_model(2), is_promoted=True, champion=publish_model(1))
    described = describe_challenger(asked.key, "https://airflow.example/base")
    assert described["refusal"] == ""
    link = f"https://airflow.example/base/galaxy/evaluations/{asked.key}/report.html"
    assert f"Promoted: better.\n\n[The report]({link})\n\n# " in described["text"]
    worse = publish_evaluation(publish_model(3), is_promoted=False, champion=publish_model(1))
    assert describe_challenger(worse.key)["refusal"] == "Not promoted: worse."
    promote(asked.key)
    late = publish_evaluation(publish_model(4), is_promoted=True, champion=publish_model(1))
    assert "is champion now" in describe_challenger(late.key)["refusal"]


def test_of_two_runs_that_promote_at_once_one_wins(home):
    champion = publish_model(1)
    promote(publish_evaluation(champion, is_promoted=True).key)
    keys = [
        publish_evaluation(publish_model(number), is_promoted=True, champion=champion).key
        for number in (2, 3)
    ]
    # Each takes its time between reading who is champion and changing it.
    program = """
import sys, time
from galaxy_tasks.pipeline.promote import promote
from galaxy_tasks.registry import challenger
explain = challenger.explain_refusal
def explain_slowly(*arguments):
    answer = explain(*arguments)
    time.sleep(3)
    return answer
challenger.explain_refusal = explain_slowly
print(promote(sys.argv[1]))
"""
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program, key], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        for key in keys
    ]
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sorted("'is_new': True" in one for one in said) == [False, True]
    with open_store() as client:
        assert len(list(champions.walk_champions(client, NAME))) == 2
        assert len(champions.read_line(client, NAME).changes) == 2
