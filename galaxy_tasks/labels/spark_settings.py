"""Spark settings that must be known before its virtual machine starts; imports no PySpark."""

import os
import shutil
import sys
from pathlib import Path

_LEAST_MIB, _MOST_MIB = 1024, 16384
_COMPILE_LARGE_METHODS = "-XX:-DontCompileHugeMethods"
"""Spark writes a Java method for all that happens to a row, and for the rules of a release that
method is longer than the 8,000 bytes up to which the virtual machine compiles one. Interpreted, a
million rows take two thirds longer in all."""
LOG_CONFIGURATION = Path(__file__).with_name("log4j2.properties")
_PROJECT = Path(__file__).parents[1]
_OF_ANOTHER_SPARK = {"SPARK_HOME", "PYSPARK_DRIVER_PYTHON", "PYSPARK_DRIVER_PYTHON_OPTS"}


def spark_submit_conf() -> dict[str, str]:
    """Return the `--conf` settings that must be given to spark-submit and not to a session.

    They keep Spark quiet from its first line, its web page off, have long methods compiled, and
    give the driver memory: it is the only process of a local Spark, and on a cluster the ids of all
    kept galaxies pass through.
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

    SPARK_HOME is left out: it would start the Spark of that place and not the installed one. Python
    is this one, and not the notebook or the Python that another Spark is told to take. Where there
    is neither JAVA_HOME nor a java in the PATH, JAVA_HOME names the newest Java that
    `scripts/run` has installed into the project.
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
    """Return a third of the memory there is, within bounds; Spark's own default is 1 GiB."""
    return min(max(memory_mib() // 3, _LEAST_MIB), _MOST_MIB)


def memory_mib(control_group: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the machine's memory, or the container's limit if that is lower."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # Version 2 and version 1 of Linux's control groups; 'max' or a huge number means no limit.
    files = (control_group / "memory.max", control_group / "memory/memory.limit_in_bytes")
    texts = [file.read_text().strip() for file in files if file.is_file()]
    return min(machine, *(int(text) for text in texts if text.isdigit()), machine) >> 20
