"""Spark settings that its virtual machine needs when it starts. This module imports no PySpark."""

import os
import shutil
import sys
from pathlib import Path

_LEAST_MIB, _MOST_MIB = 1024, 16384
_COMPILE_LARGE_METHODS = "-XX:-DontCompileHugeMethods"
"""Spark generates one Java method for all that happens to a row. With the rules of a release it
exceeds the 8,000 bytes up to which the virtual machine compiles a method; interpreted, a million
rows take two thirds longer."""
LOG_CONFIGURATION = Path(__file__).with_name("log4j2.properties")
_PROJECT = Path(__file__).parents[2]
_OF_ANOTHER_SPARK = {"SPARK_HOME", "PYSPARK_DRIVER_PYTHON", "PYSPARK_DRIVER_PYTHON_OPTS"}


def spark_submit_conf() -> dict[str, str]:
    """Return the `--conf` settings that spark-submit needs, since a session takes them too late.

    They silence Spark's log and web page, have long methods compiled, and size the driver's memory:
    locally the driver is the only process, and on a cluster it collects the ids of all kept
    galaxies.
    """
    logging = f"-Dlog4j2.configurationFile={LOG_CONFIGURATION.as_uri()}"
    return {
        "spark.driver.extraJavaOptions": f"{logging} {_COMPILE_LARGE_METHODS}",
        "spark.executor.defaultJavaOptions": _COMPILE_LARGE_METHODS,
        "spark.driver.memory": f"{_driver_memory_mib()}m",
        "spark.driver.maxResultSize": "0",  # bounded by the driver's memory alone
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }


def spark_submit_environment(project: Path = _PROJECT) -> dict[str, str]:
    """Return this process's environment as spark-submit needs it.

    SPARK_HOME is left out, since it would start another Spark than the installed one, as are
    variables that would start another Python. Without JAVA_HOME and a java in the PATH, JAVA_HOME
    is set to the newest Java that `scripts/run` installed into the project.
    """
    environment = {
        name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_SPARK
    }
    environment["PYSPARK_PYTHON"] = sys.executable
    if not environment.get("JAVA_HOME") and not shutil.which("java"):
        folder = project / ".java"
        # On macOS the home is the folder Contents/Home of what was installed.
        found = [*folder.glob("*/bin/java"), *folder.glob("*/*/*/bin/java")]
        if found:
            newest = max(found, key=lambda java: java.stat().st_mtime)
            environment["JAVA_HOME"] = str(newest.parents[1])
    return environment


def _driver_memory_mib() -> int:
    """Return a third of the machine's memory, within bounds; Spark's default is 1 GiB."""
    return min(max(memory_mib() // 3, _LEAST_MIB), _MOST_MIB)


def memory_mib(control_group: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the machine's memory, or the container's limit if that is lower."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # Linux control groups, version 2 and 1; 'max' or a huge number means no limit.
    files = (control_group / "memory.max", control_group / "memory/memory.limit_in_bytes")
    texts = [file.read_text().strip() for file in files if file.is_file()]
    return min(machine, *(int(text) for text in texts if text.isdigit()), machine) >> 20
