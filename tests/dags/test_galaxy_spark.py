"""The operator that submits an application: its result, its error, and the levels of its lines."""

import json
import os
import sysconfig
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from galaxy_tasks.errors import InputError

ROOT = Path(__file__).parents[2]
APPLICATION = f"""
import argparse, logging, sys
from pathlib import Path
sys.path.append({str(ROOT)!r})
from galaxy_tasks.errors import InputError
from galaxy_tasks.logs import set_up_logging
from galaxy_tasks.pipeline.process import write_result

parser = argparse.ArgumentParser()
parser.add_argument("--how")
parser.add_argument("--result", type=Path)
options = parser.parse_args()
set_up_logging()
logging.getLogger("galaxy_tasks.labels").info("rows in 100 %")
logging.getLogger("galaxy_tasks.labels").warning("a class does not occur")

def step():
    if options.how == "refuse":
        raise InputError("the table has no rows")
    if options.how == "crash":
        raise KeyError("a fault")
    return {{"path": "/labels/a"}}

write_result(options.result, step)
"""


@pytest.fixture
def submit(tmp_path, monkeypatch):
    """Submit the application to a Spark on this machine, as the task does."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    connection = {"conn_type": "spark", "host": "local[1]", "extra": {"deploy-mode": "client"}}
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(connection))
    monkeypatch.syspath_prepend(str(ROOT / "dags"))
    from galaxy_spark import StepSubmitOperator

    from galaxy_tasks.labels.spark_settings import spark_submit_conf, spark_submit_environment

    for name, value in spark_submit_environment().items():
        monkeypatch.setenv(name, value)
    scripts = sysconfig.get_path("scripts")
    monkeypatch.setenv("PATH", os.pathsep.join([scripts, os.environ["PATH"]]))
    application = tmp_path / "application.py"
    application.write_text(APPLICATION)

    def run(how):
        operator = StepSubmitOperator(
            task_id="task",
            application=str(application),
            application_args=["--how", how],
            conf=spark_submit_conf(),
        )
        try:
            return operator.execute({})
        finally:  # the provider leaves it to the end of the task's process
            operator._hook._submit_sp.stdout.close()  # pyright: ignore

    return run


def test_the_result_is_returned_and_each_line_keeps_its_level(submit):
    with capture_logs() as logs:
        assert submit("succeed") == {"path": "/labels/a"}
    levels = {entry["event"]: entry["log_level"] for entry in logs}
    assert levels["rows in 100 %"] == "info"
    assert levels["a class does not occur"] == "warning"


def test_the_error_of_the_application_keeps_its_kind_and_its_words(submit):
    with pytest.raises(InputError, match=r"^the table has no rows$"):
        submit("refuse")


def test_an_application_that_ends_without_a_result_fails(submit):
    from airflow.sdk.exceptions import AirflowException

    with pytest.raises(AirflowException, match="Error code is: 1"):
        submit("crash")
