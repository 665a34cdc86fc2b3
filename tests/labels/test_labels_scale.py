import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.acquisition.tables import read_table_header
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.labels import split, vote_rules
from galaxy_tasks.labels.spark_io import read_rows, write_table
from galaxy_tasks.labels.spark_settings import spark_submit_conf
from galaxy_tasks.pipeline.process import read_result
from galaxy_tasks.releases import RELEASES

ROOT = Path(__file__).resolve().parents[2]
ROWS = 300_000
FIRST_ID = 587722981741363000


def test_many_rows_are_each_kept_or_dropped_for_the_right_reason(
    compiling_spark, tmp_path, monkeypatch
):
    spark = compiling_spark
    monkeypatch.setattr("galaxy_tasks.labels.spark_io._ROWS_PER_FILE", ROWS // 3)
    scheme = RELEASES["galaxy_zoo_challenge"].schemes["clean5"]
    votes = np.random.default_rng(1).random((len(scheme.fraction_columns), ROWS))
    named = dict(zip(scheme.fraction_columns, votes, strict=True))
    ids = FIRST_ID + np.arange(ROWS)
    ids[-1000:] = ids[:1000]  # a thousand galaxies come twice, with other votes
    named["Class1.1"][1000:2000] = np.nan
    pq.write_table(pa.table({"GalaxyID": ids, **named}), tmp_path / "votes.parquet")

    table = read_table_header(tmp_path / "votes.parquet")
    columns = {"galaxy_id": "GalaxyID", **{name: name for name in named}}
    rows = read_rows(spark, table, columns, copy=tmp_path / "copy.parquet")
    for position in ("ra", "dec"):
        rows = rows.withColumn(position, F.lit(None).cast("string"))
    labelled = vote_rules.label_rows(rows, scheme, minimum_votes=0, ignored_classes=())
    images = spark.range(FIRST_ID, FIRST_ID + ROWS // 2).select(
        F.col("id").cast("string").alias("galaxy_id"),
        F.concat("id", F.lit(".jpg")).alias("image_name"),
    )
    judged = vote_rules.attach_images(vote_rules.flag_duplicates(labelled), images).withColumn(
        "is_test", split.is_in_test(F.col("sky_group"), test_fraction=0.2)
    )
    judged = judged.persist()  # as the application does: counted first, then written
    assert judged.count() == ROWS
    write_table(judged, tmp_path / "judged.parquet", rows=ROWS)
    judged.unpersist()

    found = pq.read_table(tmp_path / "judged.parquet").to_pandas()
    expected = judge_with_numpy(ids, named)
    reasons = found["reason"].fillna("kept")
    assert Counter(reasons) == Counter(expected)
    assert found["galaxy_id"].nunique() == ROWS - 1000
    assert found.loc[reasons == "kept", "is_test"].mean() == pytest.approx(0.2, abs=0.01)


def judge_with_numpy(ids, votes):
    """Return the reason of each row by the same rules, written the other way round."""
    smooth, featured = votes["Class1.1"] >= 0.469, votes["Class1.2"] >= 0.430
    met = np.stack(
        [
            smooth & (votes["Class7.1"] >= 0.5),
            smooth & (votes["Class7.2"] >= 0.5),
            smooth & (votes["Class7.3"] >= 0.5),
            featured & (votes["Class2.1"] >= 0.602),
            featured & (votes["Class2.2"] >= 0.715) & (votes["Class4.1"] >= 0.619),
        ]
    )
    count = met.sum(axis=0)
    reason = np.select(
        [count == 0, count > 1], ["contested_no_rule", "contested_several_rules"], ""
    ).astype(object)
    outcome = np.where(count == 1, met.argmax(axis=0).astype(str), reason)
    has_image = ids < FIRST_ID + ROWS // 2
    reason[count == 1] = np.where(has_image, "kept", "no_image")[count == 1]
    first, second = slice(0, 1000), slice(ROWS - 1000, ROWS)
    differ = outcome[first] != outcome[second]
    repeated = (~differ) & (count[first] == 1)
    reason[second][repeated] = "duplicate"
    reason[first][differ] = reason[second][differ] = "contradictory"
    reason[np.isnan(votes["Class1.1"])] = "missing_value"
    return reason


def test_spark_submit_is_quiet_and_its_exit_code_honest(tmp_path):
    images = tmp_path / "source" / "images"
    images.mkdir(parents=True)
    for number in range(100):
        (images / f"{number}.jpg").write_bytes(b"x")
    lines = [f"{number},{('edge_on', 'spiral')[number % 2]}" for number in range(100)]
    (tmp_path / "source" / "labels.csv").write_text("id,class\n" + "\n".join(lines))
    config = RunConfig(release="class_table", source=str(tmp_path / "source"))
    release_files = locate_release(config).as_dict()

    good = submit(tmp_path, config, release_files)
    assert good.returncode == 0, good.stderr
    (labels,) = (tmp_path / "runs" / "labels").glob("*/labels.parquet")
    assert f"Published {labels.parent}" in good.stdout
    assert read_result(tmp_path / "result.json")["path"] == str(labels.parent)
    # The virtual machine itself says that it uses an incubating module; nothing else speaks.
    noise = [line for line in good.stderr.splitlines() if "incubator modules" not in line]
    assert noise == []

    wrong = config.model_copy(update={"class_column": "morphology"})
    bad = submit(tmp_path, wrong, release_files)
    assert bad.returncode == 65
    with pytest.raises(InputError, match="morphology"):
        read_result(tmp_path / "result.json")


def submit(folder: Path, config: RunConfig, release_files: dict[str, str]):
    conf = [f"--conf={key}={value}" for key, value in spark_submit_conf().items()]
    scripts = Path(sys.executable).parent
    environment = os.environ | {
        "GALAXY_HOME": str(folder / "runs"),
        "PATH": f"{scripts}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        [
            "spark-submit",
            "--master=local[2]",
            *conf,
            str(ROOT / "galaxy_tasks" / "pipeline" / "clean_labels.py"),
            "--settings",
            json.dumps(config.model_dump(mode="json")),
            "--release-files",
            json.dumps(release_files),
            "--result",
            str(folder / "result.json"),
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
