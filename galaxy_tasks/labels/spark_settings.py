"""Spark settings that its virtual machine needs when it starts. This module imports no PySpark."""

import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from galaxy_tasks.errors import InputError
from galaxy_tasks.storage import artifacts

_LEAST_MIB, _MOST_MIB = 1024, 16384
_COMPILE_LARGE_METHODS = "-XX:-DontCompileHugeMethods"
"""Spark generates one Java method for all that happens to a row. With the rules of a release it
exceeds the 8,000 bytes up to which the virtual machine compiles a method; interpreted, a million
rows take two thirds longer."""
LOG_CONFIGURATION = Path(__file__).with_name("log4j2.properties")
_PROJECT = Path(__file__).parents[2]
SPARK_CONNECTION = "AIRFLOW_CONN_SPARK_DEFAULT"
"""The variable by which a caller names a Spark of its own, which may need more of its variables."""
_OF_ANOTHER_SPARK = ("SPARK_HOME", "PYSPARK_", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CDPATH")
_OF_ANOTHER_CLUSTER = ("SPARK_", "HADOOP_", "YARN_", "CLASSPATH")
_KEPT = ("SPARK_LOCAL_DIRS", "SPARK_LOCAL_IP", "SPARK_SUBMIT_OPTS")
_LEAST_JAVA = 17


def spark_submit_conf() -> dict[str, str]:
    """Return the `--conf` settings that spark-submit needs, since a session takes them too late.

    They silence Spark's log and web page, have long methods compiled, and size the driver's memory:
    locally the driver is the only process, and on a cluster it collects the ids of all kept
    galaxies.
    """
    logging = f"-Dlog4j2.configurationFile={LOG_CONFIGURATION.as_uri()}"
    temporary = f'"-Djava.io.tmpdir={temporary_folder()}"'
    return {
        "spark.driver.extraJavaOptions": f"{logging} {temporary} {_COMPILE_LARGE_METHODS}",
        "spark.executor.defaultJavaOptions": _COMPILE_LARGE_METHODS,
        "spark.driver.memory": f"{_driver_memory_mib()}m",
        "spark.driver.maxResultSize": "0",  # bounded by the driver's memory alone
        # Else PySpark also tells Java which line of code each expression is from.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }


def spark_submit_environment(project: Path = _PROJECT) -> dict[str, str]:
    """Return this process's environment as the installed Spark needs it.

    Variables that would start another Spark, Python or Java machine are left out. So is what
    configures a cluster, unless the caller names a Spark of its own.

    Raises:
        InputError: there is no Java that Spark runs on.
    """
    is_local = not os.environ.get(SPARK_CONNECTION)
    foreign = (*_OF_ANOTHER_SPARK, *(_OF_ANOTHER_CLUSTER if is_local else ()))
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or not name.startswith(foreign)
    }
    # A machine's own name may not resolve.
    local = {"SPARK_LOCAL_IP": "127.0.0.1"} if is_local else {}
    return {
        **local,
        **inherited,
        # Spark's own search for it takes the Python's path apart at a blank.
        "SPARK_HOME": _find_spark(),
        "PYSPARK_PYTHON": sys.executable,
        "JAVA_HOME": find_java_home(project),
    }


def find_java_home(project: Path = _PROJECT) -> str:
    """Return the home of the first Java that Spark runs on.

    It is JAVA_HOME's, the one in the PATH, or the newest that `scripts/run` put into the project.
    Each is started: macOS has a program `java` that says only where to get Java.

    Raises:
        InputError: there is none.
    """
    private = project / ".java"
    # On macOS the home is the folder Contents/Home of what was installed.
    found = [*private.glob("*/bin/java"), *private.glob("*/*/*/bin/java")]
    found.sort(key=lambda java: java.stat().st_mtime, reverse=True)
    named = os.environ.get("JAVA_HOME")
    for java in (*([f"{named}/bin/java"] if named else []), "java", *found):
        if home := _read_java_home(str(java)):
            return home
    received = f" JAVA_HOME is {named!r}." if named else ""
    raise InputError(
        f"Spark needs Java {_LEAST_JAVA} or newer, and none was found.{received} Install one, or "
        "set JAVA_HOME; scripts/run installs one for this project alone."
    )


def _read_java_home(java: str) -> str:
    """Return the home that a Java says it has; '' if it does not run or is too old."""
    command = [java, "-XshowSettings:properties", "-version"]
    try:
        told = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=60, check=True
        ).stderr
    except (OSError, subprocess.SubprocessError):
        return ""
    version = re.search(r"^ *java\.specification\.version = (\d+)$", told, re.MULTILINE)
    home = re.search(r"^ *java\.home = (.+)$", told, re.MULTILINE)
    return home[1] if home and version and int(version[1]) >= _LEAST_JAVA else ""


def _find_spark() -> str:
    spec = find_spec("pyspark")
    assert spec
    assert spec.submodule_search_locations
    return spec.submodule_search_locations[0]


def temporary_folder() -> str:
    """Return a folder for temporary files on a file system that lets programs run.

    Java unpacks libraries there and loads them, which a /tmp mounted with noexec refuses. Then a
    folder in GALAXY_HOME is taken.
    """
    usual = tempfile.gettempdir()
    if not os.statvfs(usual).f_flag & getattr(os, "ST_NOEXEC", 0):  # macOS knows no such flag
        return usual
    own = artifacts.home() / "tmp"
    own.mkdir(parents=True, exist_ok=True)
    return str(own)


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
