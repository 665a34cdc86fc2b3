"""Ablations are planned before any work, and share what they have in common."""

import pytest

from galaxy_tasks.errors import InputError
from galaxy_tasks.pipeline.ablate import keep_holdout, plan_ablation

SETTINGS = {"architectures": ["resnet18", "alexnet"], "repeats": 3}


def test_a_grid_has_a_training_for_each_combination_network_and_fold():
    vary = {"denoise_method": ["none", "median"], "epochs": [5, 10]}
    plan = plan_ablation(SETTINGS, vary)
    assert plan["preparations"] == [{"denoise_method": "none"}, {"denoise_method": "median"}]
    assert len(plan["trainings"]) == 2 * 2 * 2 * 3
    assert len({training["name"] for training in plan["trainings"]}) == 24
    first, last = plan["trainings"][0], plan["trainings"][-1]
    assert first["varied"] == {"denoise_method": "none", "epochs": 5}
    assert (first["preparation"], last["preparation"]) == (0, 1)
    assert (first["fold"], last["fold"]) == ([0, 3], [2, 3])
    assert len({training["seed"] for training in plan["trainings"]}) == 3


def test_settings_of_training_need_one_preparation():
    plan = plan_ablation(SETTINGS, {"label_smoothing": [0.0, "0.05"]})
    assert plan["preparations"] == [{}]
    assert [one["varied"] for one in plan["trainings"][::6]] == [
        {"label_smoothing": 0.0},
        {"label_smoothing": 0.05},
    ]


@pytest.mark.parametrize(
    ("vary", "settings", "message"),
    [
        ({}, {}, "needs a setting to vary"),
        (
            {"minimum_votes": [1]},
            {},
            r"'minimum_votes' cannot be varied\. Choose among batch_size",
        ),
        ({"seed": [1, 2]}, {}, "'seed' cannot be varied"),
        (
            {"denoise": ["none", "median"]},
            {},
            "'denoise' is not a setting. Did you mean 'denoise_method'?",
        ),
        ({"epochs": [5]}, {}, r"two values or more. Received: \[5\]"),
        ({"epochs": 5}, {}, "two values or more. Received: 5"),
        ({"epochs": [5, "5"]}, {}, r"lists a value twice. Received: \[5, '5'\]"),
        ({"epochs": [5, 0]}, {}, "epochs: Input should be greater than or equal to 1"),
        ({"epochs": [5, 6]}, {"repeats": 1}, "'repeats' of 2 or more.*Received: 1"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_any_work(vary, settings, message):
    with pytest.raises(InputError, match=message):
        plan_ablation({**SETTINGS, **settings}, vary)


def test_an_ablation_adds_nothing_to_the_holdout():
    assert keep_holdout({"holdout": "join", "epochs": 2}) == {"holdout": "respect", "epochs": 2}
    assert keep_holdout({"holdout": "ignore"}) == {"holdout": "ignore"}
