"""Spark settings that must be known before its virtual machine starts; imports no PySpark."""

from pathlib import Path

LOG_CONFIGURATION = Path(__file__).with_name("log4j2.properties")


def spark_submit_conf() -> dict[str, str]:
    """Return the `--conf` settings of spark-submit that keep Spark quiet and its ports closed.

    Only a setting given to spark-submit reaches the virtual machine's first log lines.
    """
    return {
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={LOG_CONFIGURATION.as_uri()}",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
