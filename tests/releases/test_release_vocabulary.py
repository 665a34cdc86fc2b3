"""Every release says of itself what it is, and of its votes what they mean to all others."""

import re

import pytest
from fixtures.release_headers import COSMIC_DAWN, list_stems
from fixtures.release_inputs import FIVE_CLASSES, PUBLISHED

from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.questions import QUESTIONS, Answer
from galaxy_tasks.releases.schema import VoteScheme

ARTIFACT = ("smooth_or_featured", "artifact")


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


def test_the_answers_of_cosmic_dawn_are_those_of_euclid_but_for_ghosts():
    (tree,) = RELEASES["galaxy_zoo_euclid"].trees
    assert set(tree) - set(list_stems(COSMIC_DAWN)) == {"artifact_ghost"}
    assert set(list_stems(COSMIC_DAWN)) <= set(tree)


def test_what_is_no_column_of_fractions_is_no_answer():
    assert RELEASES["galaxy_zoo_2"].find_answer("t02_edgeon_a04_yes_count") is None
    assert RELEASES["galaxy_zoo_desi"].find_answer("bar_yes_fraction") is None


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
