"""Which test galaxies a trained model's heat maps are of."""

import numpy as np

from galaxy_tasks.training.loop import MOST_EXPLAINED, choose_explained


def test_of_each_class_the_surest_right_and_the_surest_wrong_are_chosen():
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    to_first = np.array([0.6, 0.9, 0.3, 0.1, 0.7, 0.2, 0.2])
    probabilities = np.stack([to_first, 1 - to_first, np.zeros(7)], axis=1).astype(np.float32)
    assert choose_explained(probabilities, labels=labels).tolist() == [1, 3, 5, 4, 6]


def test_of_many_classes_those_with_most_galaxies_are_chosen():
    labels = np.repeat(np.arange(20), np.arange(1, 21))
    probabilities = np.eye(20, dtype=np.float32)[labels]
    chosen = choose_explained(probabilities, labels=labels)
    assert labels[chosen].tolist() == list(range(20 - MOST_EXPLAINED, 20))
