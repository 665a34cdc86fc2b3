import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score

from galaxy_tasks.evaluation.resampling import draw_means, draw_scores, score_confusions


def add_noise(labels, *, error_share, seed, num_classes=3):
    random = np.random.default_rng(seed)
    is_wrong = random.random(len(labels)) < error_share
    return np.where(is_wrong, (labels + 1) % num_classes, labels)


def draw(labels, *models, samples=2000, num_classes=3, seed=0):
    return draw_scores(
        np.stack(models),
        labels=labels,
        num_classes=num_classes,
        samples=samples,
        random=np.random.default_rng(seed),
    )


def test_scores_of_confusion_matrices_equal_scikit_learns_on_the_same_galaxies():
    counts = np.array([[[30, 2, 1], [4, 9, 0], [1, 1, 5]], [[3, 0, 0], [2, 0, 1], [0, 2, 1]]])
    scores = score_confusions(counts)
    for index, confusion in enumerate(counts):
        cells = [(t, p) for t in range(3) for p in range(3) for _ in range(confusion[t, p])]
        true, predicted = np.array(cells).T
        for average in ("macro", "weighted"):
            expected = f1_score(true, predicted, average=average, zero_division=0.0)
            assert scores[f"{average}_f1"][index] == pytest.approx(expected)
        assert scores["accuracy"][index] == pytest.approx((true == predicted).mean())
        expected = balanced_accuracy_score(true, predicted)
        assert scores["balanced_accuracy"][index] == pytest.approx(expected)


def test_drawing_patterns_is_drawing_galaxies():
    labels = np.repeat([0, 1, 2], [80, 40, 60])
    models = [
        add_noise(labels, error_share=share, seed=seed) for share, seed in ((0.25, 6), (0.2, 7))
    ]
    random = np.random.default_rng(5)
    groups = [np.flatnonzero(labels == label) for label in range(3)]
    by_galaxy = []
    for _ in range(1500):
        rows = np.concatenate([random.choice(group, len(group)) for group in groups])
        confusions = [confusion_matrix(labels[rows], model[rows]) for model in models]
        by_galaxy.append(score_confusions(np.array(confusions))["macro_f1"])
    by_galaxy = np.array(by_galaxy)
    by_pattern = draw(labels, *models, samples=4000)["macro_f1"]
    # The weight of one more galaxy a class costs some hundredth in the mean.
    assert by_pattern.mean(axis=0) == pytest.approx(by_galaxy.mean(axis=0), abs=0.015)
    assert by_pattern.std(axis=0) == pytest.approx(by_galaxy.std(axis=0), rel=0.1)
    difference = by_galaxy[:, 0] - by_galaxy[:, 1]
    assert (by_pattern[:, 0] - by_pattern[:, 1]).std() == pytest.approx(difference.std(), rel=0.1)


def test_what_is_hard_for_all_models_cancels_in_a_difference():
    labels = np.arange(600) % 3
    worse = add_noise(labels, error_share=0.25, seed=1)
    better = worse.copy()
    repaired = np.flatnonzero(worse != labels)[:15]
    better[repaired] = labels[repaired]
    drawn = draw(labels, better, worse)["macro_f1"]
    assert (drawn[:, 0] - drawn[:, 1]).std() < drawn[:, 0].std() / 2


def test_every_class_keeps_its_number_of_galaxies():
    labels = np.repeat([0, 1, 2], [2, 500, 1])
    drawn = draw(labels, labels)
    # With all classes at their numbers, accuracy is the mean recall weighted by them.
    assert drawn["accuracy"].shape == (2000, 1)
    assert np.unique(np.round(drawn["accuracy"] * 503)).min() >= 503 - 15


def test_no_class_is_so_small_or_so_good_that_its_score_is_certain():
    labels = np.repeat([0, 1, 2], [200, 200, 17])
    drawn = draw(labels, labels, np.zeros(417, dtype=int))["macro_f1"]
    perfect, blind = np.percentile(drawn, [2.5, 97.5], axis=0).T
    assert perfect[0] < 0.97
    assert perfect[1] == 1.0
    assert blind[0] < blind[1]


def test_parts_of_the_samples_are_drawn_as_one(monkeypatch):
    labels = np.arange(90) % 3
    monkeypatch.setattr("galaxy_tasks.evaluation.resampling._CHUNK_CELLS", 100)
    drawn = draw(labels, add_noise(labels, error_share=0.3, seed=1), samples=501)
    shapes = {name: scores.shape for name, scores in drawn.items()}
    assert shapes == {name: (501, 1, 3) if "class_" in name else (501, 1) for name in drawn}


def test_means_vary_as_stratified_samples_do():
    random = np.random.default_rng(2)
    labels = np.repeat([0, 1], [300, 100])
    values = random.exponential(1 + 3 * labels)
    drawn = draw_means(values, labels=labels, samples=5000, random=random)
    groups = [values[labels == label] for label in (0, 1)]
    by_hand = [
        np.concatenate([random.choice(group, len(group)) for group in groups]).mean()
        for _ in range(2000)
    ]
    assert drawn.mean() == pytest.approx(values.mean(), abs=0.01)
    assert drawn.std() == pytest.approx(np.std(by_hand), rel=0.08)
