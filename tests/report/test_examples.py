import numpy as np

from galaxy_tasks.report.examples import ExampleRows, choose_examples


def test_examples_take_the_classes_in_turn():
    labels = np.array([0, 0, 0, 1, 1, 1])
    table = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8], [0.8, 0.2], [0.6, 0.4]])
    rows = choose_examples(table, labels=labels, num_each=3)
    assert rows.right == (2, 3, 0)  # of class 0 the one of middling confidence first
    assert rows.wrong == (4, 5)  # the surest mistake first
    assert choose_examples(table, labels=labels, num_each=1) == ExampleRows((2,), (4, 5))


def test_mistakes_take_the_pairs_of_classes_in_turn_the_most_frequent_first():
    labels = np.array([0, 0, 0, 1, 1, 2])
    calls, sure = np.array([1, 1, 2, 0, 0, 1]), np.array([0.6, 0.9, 0.5, 0.7, 0.8, 0.95])
    table = np.full((6, 3), 0.0)
    table[np.arange(6), calls] = sure
    table += (1 - sure)[:, np.newaxis] / 3
    # 0 as 1: rows 1, 0; 1 as 0: rows 4, 3; 0 as 2: row 2; 2 as 1: row 5
    assert choose_examples(table, labels=labels, num_each=3).wrong == (1, 4, 2, 5, 0, 3)


def test_a_class_that_is_always_right_or_never_right_gives_what_it_has():
    labels = np.array([0, 0, 1])
    table = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    rows = choose_examples(table, labels=labels, num_each=5)
    assert (rows.right, rows.wrong) == ((0, 1), (2,))
