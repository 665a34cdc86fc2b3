"""An order for a catalogue is whole, or says what it lacks."""

import pytest

from galaxy_tasks.errors import InputError
from galaxy_tasks.pipeline.prediction_orders import complete_order, complete_orders


def test_results_go_below_the_home_unless_they_are_placed_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    order = {"paths": ["/data/a.csv"], "output": "a.parquet", "id_column": "objid"}
    output = tmp_path / "catalogues" / "a.parquet"
    assert complete_order(order) == {**order, "output": str(output), "report": f"{output}.html"}
    assert output.parent.is_dir()
    elsewhere = str(tmp_path / "elsewhere" / "b.fits")
    assert complete_order({**order, "output": elsewhere})["output"] == elsewhere


@pytest.mark.parametrize(
    "wrong",
    [
        {"paths": ["a"]},
        {"output": "a.csv"},
        {"paths": "a", "output": "a.csv"},
        {"paths": ["a"], "output": "a.csv", "input": "b"},
    ],
)
def test_an_order_that_lacks_something_or_has_too_much_is_refused(wrong):
    with pytest.raises(InputError, match="needs 'paths', a list, and 'output'"):
        complete_order(wrong)


@pytest.mark.parametrize("wrong", [{"paths": ["a"], "output": "a.csv"}, ["a.csv"], "a.csv", 3])
def test_orders_are_a_list_of_objects(wrong):
    with pytest.raises(InputError, match="ordered by a list of objects"):
        complete_orders(wrong)


def test_two_catalogues_have_no_output_in_common(tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    order = {"paths": ["a"], "output": "a.csv"}
    assert len(complete_orders([order, {**order, "output": "b.csv"}])) == 2
    with pytest.raises(InputError, match=r"output of its own. Twice: .*a\.csv"):
        complete_orders([order, order])
