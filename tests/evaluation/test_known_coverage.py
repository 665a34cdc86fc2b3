"""What the report says of intervals where a class is small."""

import pytest

from galaxy_tasks.evaluation.known_coverage import ENOUGH_GALAXIES, describe_coverage


def test_the_note_names_the_kind_of_test_that_is_nearest():
    note = describe_coverage(smallest=8, num_seeds=4)
    assert note.startswith("The smallest class has 8 test galaxies.")
    assert "with 10 in the smallest class and 3 seeds" in note
    assert "with 5 in the smallest class and 5 seeds" in describe_coverage(smallest=3, num_seeds=20)


@pytest.mark.parametrize(("smallest", "num_seeds"), [(ENOUGH_GALAXIES, 3), (8, 1)])
def test_large_classes_need_no_note_and_one_seed_makes_no_claim(smallest, num_seeds):
    assert describe_coverage(smallest=smallest, num_seeds=num_seeds) == ""
