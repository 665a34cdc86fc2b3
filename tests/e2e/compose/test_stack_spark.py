"""The stack's Spark takes jobs of its own only; and the connection can lead to another Spark."""

import pytest

pytestmark = pytest.mark.e2e

STRANGER = """
from pyspark.sql import SparkSession
SparkSession.builder.master("spark://spark-master:7077").appName("stranger").getOrCreate()
"""
ASK_FOR_MASTER = """
from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
hook = SparkSubmitHook(conn_id="other")
command = hook._build_spark_submit_command("clean_labels.py")
print("MASTER", command[command.index("--master") + 1])
"""


def test_a_job_without_the_secret_is_refused(stack):
    told = stack.compose("exec", "-T", "api-server", "python", "-c", STRANGER, is_checked=False)
    assert "All masters are unresponsive" in told, told[-2000:]
    names = {each["name"] for each in stack.list_spark_applications()}
    assert names  # those of the runs before
    assert "stranger" not in names


@pytest.mark.parametrize(
    ("connection", "master"),
    [
        ("spark://yarn?deploy-mode=client", "yarn"),
        (
            "spark://k8s%3A%2F%2Fhttps%3A%2F%2F10.0.0.5:6443?deploy-mode=client&namespace=galaxies",
            "k8s://https://10.0.0.5:6443",
        ),
        ("spark://10.0.0.5:7077?deploy-mode=client", "spark://10.0.0.5:7077"),
    ],
)
def test_an_address_of_the_documentation_reaches_the_kind_of_master_it_says(
    stack, connection, master
):
    text = (stack.folder / "docs" / "containers.md").read_text().replace("HOST", "10.0.0.5")
    assert f"`{connection}`" in text
    told = stack.compose(
        *("exec", "-T", "--env", f"AIRFLOW_CONN_OTHER={connection}", "worker"),
        *("python", "-c", ASK_FOR_MASTER),
    )
    assert f"MASTER {master}" in told.splitlines(), told
