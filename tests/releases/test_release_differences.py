"""A table that breaks its release's contract is refused with what differs and what to do."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures.class_table_inputs import class_table, write_release

from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases import RELEASES

VOTES = ("GalaxyID", *RELEASES["galaxy_zoo_challenge"].schemes["clean5"].fraction_columns)


def locate_challenge(folder: Path, text: str) -> None:
    (folder / "images_training_rev1").mkdir()
    (folder / "images_training_rev1" / "7.jpg").touch()
    (folder / "training_solutions_rev1.csv").write_text(text)
    locate_release(RunConfig(release="galaxy_zoo_challenge", source=str(folder)))


def rename(old: str, new: str) -> str:
    return ",".join(new if column == old else column for column in VOTES) + "\n7\n"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (rename("Class7.2", "more"), ["Expected: Class7.2. Found: GalaxyID, ", "newer version?"]),
        (rename("Class7.2", "class_7.2"), ["Nearest to what is missing: class_7.2 for Class7.2"]),
        (
            rename("GalaxyID", "id"),
            ["Expected: GalaxyID. Found: id, ", "'id_column' names another"],
        ),
        (
            rename("Class7.2", "Class1.1"),
            ["several columns like 'Class1.1'", "rename or remove"],
        ),
        (",".join(VOTES) + "\n\n", ["names of 9 columns and no row", "fetch it again"]),
        ("", ["is empty: it must begin with the names"]),
        ("1,2,3.5\n4,5,6\n", ["the line with the names seems to be missing"]),
    ],
)
def test_a_table_that_breaks_its_contract_is_told_with_the_difference_and_what_to_do(
    tmp_path, text, parts
):
    with pytest.raises(InputError) as caught:
        locate_challenge(tmp_path, text)
    message = str(caught.value)
    assert str(tmp_path / "training_solutions_rev1.csv") in message
    assert [part for part in parts if part not in message] == []


def test_an_empty_parquet_table_is_told_before_spark_starts(tmp_path):
    folder = write_release(tmp_path / "s")
    (folder / "labels.csv").unlink()
    empty = pa.table({"id": pa.array([], pa.string()), "class": pa.array([], pa.string())})
    pq.write_table(empty, folder / "labels.parquet")
    with pytest.raises(InputError, match="names of 2 columns and no row"):
        locate_release(class_table(folder))


def test_a_class_tables_other_names_are_to_be_set(tmp_path):
    folder = write_release(tmp_path / "s")
    (folder / "labels.csv").write_text("id,kind\n1,spiral\n")
    with pytest.raises(InputError, match=r"Found: id, kind\. Set 'id_column' and 'class_column'"):
        locate_release(class_table(folder))
