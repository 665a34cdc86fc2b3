"""Releases stand in the form under their names, and their rules are not at odds."""

import re
from pathlib import Path

import pytest

from galaxy_tasks.config import form_schemas, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases import RELEASES, catalogues
from galaxy_tasks.releases.catalogues.galaxy_zoo_2 import GALAXY_ZOO_2
from galaxy_tasks.releases.morphology import Morphology, is_handed
from galaxy_tasks.releases.schema import (
    Criterion,
    LabelRule,
    ShorthandScheme,
    VoteScheme,
    make_scheme,
)


def test_every_file_of_a_release_is_a_choice_of_the_form_under_its_own_name():
    files = {path.stem for path in Path(catalogues.__file__).parent.glob("[!_]*.py")}
    assert set(form_schemas("full")["release"]["enum"]) == files == set(RELEASES)


def test_a_release_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(InputError, match="release: Input should be 'simulated', 'galaxy_zoo_") as e:
        parse_config({"release": "galaxy_zoo_9"})
    assert "or 'class_table'. Received: 'galaxy_zoo_9'" in str(e.value)


def test_a_scheme_of_thresholds_asks_for_all_of_a_class_and_for_its_volunteers():
    scheme = make_scheme({"spiral": {"disk": 0.5, "arms": 0.6}}, vote_columns=("votes",))
    disk, arms = (
        Criterion(column=column, minimum=minimum, vote_columns=("votes",))
        for column, minimum in (("disk", 0.5), ("arms", 0.6))
    )
    rule = LabelRule(morphology=Morphology.SPIRAL, criteria=(disk, arms))
    assert scheme == VoteScheme(rules=(rule,))
    with pytest.raises(ValueError, match="'spirl' is not a valid Morphology"):
        make_scheme({"spirl": {"arms": 0.6}})


def test_simulated_release_has_the_rules_of_the_challenge():
    assert RELEASES["simulated"].schemes == RELEASES["galaxy_zoo_challenge"].schemes


def test_hubble_reads_the_fraction_that_its_publishers_recommend_where_there_is_one():
    scheme = RELEASES["galaxy_zoo_hubble"].schemes["clean5"]
    assert isinstance(scheme, VoteScheme)
    first = {c for c in scheme.fraction_columns if c.startswith("t01_")}
    assert first == {
        "t01_smooth_or_features_a01_smooth_best_fraction",
        "t01_smooth_or_features_a02_features_or_disk_best_fraction",
    }
    others = set(scheme.fraction_columns) - first
    assert all(column.endswith("_weighted_fraction") for column in others)


def test_a_morphology_cannot_have_two_rules():
    rule = LabelRule(
        morphology=Morphology.SPIRAL, criteria=(Criterion(column="votes", minimum=0.5),)
    )
    with pytest.raises(ValueError, match="two rules"):
        VoteScheme(rules=(rule, rule))


def test_every_rule_of_the_shorthand_accepts_only_its_grammar():
    scheme = GALAXY_ZOO_2.schemes["gz2_class"]
    assert isinstance(scheme, ShorthandScheme)
    good = ["Er", "Ei(o)", "Ec", "Ser", "Seb(m)", "Sen", "SBb2m", "Sc+t(r)", "Sa?l", "Sd", "A"]
    bad = ["", "E", "Ex", "SBb2", "Sb5m", "Sbm", "Er(x)", "Er(o", "a", "SBer", "Ser2m", "A(o)"]
    assert [text for text in good if not re.search(scheme.grammar, text)] == []
    assert [text for text in bad if re.search(scheme.grammar, text)] == []


def test_spirals_with_a_sense_of_rotation_are_handed():
    assert is_handed([Morphology.ELLIPTICAL, Morphology.SPIRAL_ANTICLOCKWISE])
    assert is_handed(["Counter-Clockwise"])
    assert not is_handed([Morphology.SPIRAL, Morphology.EDGE_ON])
