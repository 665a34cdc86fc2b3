import numpy as np

from galaxy_tasks.report.examples import choose_examples


def test_examples_take_the_classes_in_turn():
    labels = np.array([0, 0, 0, 1, 1, 1])
    table = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8], [0.8, 0.2], [0.6, 0.4]])
    rows = choose_examples(table, labels=labels, num_each=3)
    assert rows.right == (2, 3, 0)  # of class 0 the one of middling confidence first
    assert rows.wrong == (4, 5)  # the surest mistake first
    assert choose_examples(table, labels=labels, num_each=1).wrong == (4,)


def test_a_class_that_is_always_right_or_never_right_gives_what_it_has():
    labels = np.array([0, 0, 1])
    table = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    rows = choose_examples(table, labels=labels, num_each=5)
    assert (rows.right, rows.wrong) == ((0, 1), (2,))
