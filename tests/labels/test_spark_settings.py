import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pyspark
import pytest

from galaxy_tasks.errors import InputError
from galaxy_tasks.labels.spark_settings import (
    find_java_home,
    memory_mib,
    spark_submit_conf,
    spark_submit_environment,
)


def test_spark_compiles_the_rules_of_a_release_however_long_its_method_is(spark):
    management = spark._jvm.java.lang.management.ManagementFactory
    kind = spark._jvm.java.lang.Class.forName("com.sun.management.HotSpotDiagnosticMXBean")
    machine = management.getPlatformMXBean(kind)
    assert machine.getVMOption("DontCompileHugeMethods").getValue() == "false"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with two Javas of its own, in a machine without any other."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'programs'}:/usr/bin:/bin")
    write_java(tmp_path / "programs", exit_code=1)  # as macOS's, which says where to get one
    for age_s, home in ((100, "jdk-21-jre"), (200, "jdk-17-jre/Contents/Home")):
        write_java(tmp_path / ".java" / home / "bin", age_s=age_s)
    return tmp_path


def write_java(folder, *, version="21", age_s=0, exit_code=0):
    folder.mkdir(parents=True, exist_ok=True)
    java = folder / "java"
    java.write_text(
        "#!/bin/sh\n"
        f'printf "    java.home = {folder.parent}\\n'
        f'    java.specification.version = {version}\\n" >&2\n'
        f"exit {exit_code}\n"
    )
    java.chmod(0o700)
    changed_s = java.stat().st_mtime - age_s
    os.utime(java, (changed_s, changed_s))


def test_the_newest_java_of_the_project_is_taken_where_no_other_runs(project):
    assert find_java_home(project) == str(project / ".java" / "jdk-21-jre")

    newest = project / ".java" / "jdk-25.jdk" / "Contents" / "Home"
    write_java(newest / "bin")
    assert spark_submit_environment(project)["JAVA_HOME"] == str(newest)


def test_the_machines_java_comes_first_and_before_it_the_one_that_is_named(project, monkeypatch):
    write_java(project / "programs")
    assert find_java_home(project) == str(project)
    write_java(project / "named" / "bin", version="17")
    monkeypatch.setenv("JAVA_HOME", str(project / "named"))
    assert find_java_home(project) == str(project / "named")


@pytest.mark.parametrize("version", ["1.8", "11"])
def test_a_java_that_is_too_old_is_passed_over(project, monkeypatch, version):
    write_java(project / "old" / "bin", version=version)
    monkeypatch.setenv("JAVA_HOME", str(project / "old"))
    assert find_java_home(project) == str(project / ".java" / "jdk-21-jre")


def test_without_any_java_it_is_said_what_is_wanted(project, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", "/opt/none")
    with pytest.raises(InputError, match=r"Java 17 or newer.*JAVA_HOME is '/opt/none'"):
        find_java_home(project / "programs")


def test_another_spark_of_the_machine_takes_no_part(project, monkeypatch):
    for name in ("SPARK_HOME", "SPARK_REMOTE", "HADOOP_CONF_DIR", "_JAVA_OPTIONS"):
        monkeypatch.setenv(name, "/opt/another")
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.2")
    environment = spark_submit_environment(project)
    assert [name for name, value in environment.items() if value == "/opt/another"] == []
    assert environment["SPARK_HOME"] == str(Path(pyspark.__file__).parent)
    assert environment["SPARK_LOCAL_IP"] == "127.0.0.2"

    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", "spark://yarn")
    assert spark_submit_environment(project)["HADOOP_CONF_DIR"] == "/opt/another"


def test_a_machine_whose_name_does_not_resolve_is_no_hindrance(project, monkeypatch):
    monkeypatch.delenv("SPARK_LOCAL_IP", raising=False)
    monkeypatch.delenv("AIRFLOW_CONN_SPARK_DEFAULT", raising=False)
    assert spark_submit_environment(project)["SPARK_LOCAL_IP"] == "127.0.0.1"


@pytest.mark.skipif(not hasattr(os, "ST_NOEXEC"), reason="this system has no such flag")
def test_java_unpacks_its_libraries_where_programs_may_run(tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "my results"))
    options = spark_submit_conf()["spark.driver.extraJavaOptions"]
    assert f'"-Djava.io.tmpdir={tempfile.gettempdir()}"' in options

    # As on a machine whose /tmp is mounted with noexec.
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_NOEXEC))
    options = spark_submit_conf()["spark.driver.extraJavaOptions"]
    assert f'"-Djava.io.tmpdir={tmp_path / "my results" / "tmp"}"' in options
    assert (tmp_path / "my results" / "tmp").is_dir()


def test_neither_a_notebook_nor_another_python_runs_the_job(project, monkeypatch):
    monkeypatch.setenv("PYSPARK_DRIVER_PYTHON", "jupyter")
    monkeypatch.setenv("PYSPARK_DRIVER_PYTHON_OPTS", "lab")
    monkeypatch.setenv("PYSPARK_PYTHON", "/opt/python3.9")
    environment = spark_submit_environment(project)
    assert {name: value for name, value in environment.items() if name.startswith("PYSPARK_")} == {
        "PYSPARK_PYTHON": sys.executable
    }


@pytest.mark.parametrize(
    ("name", "text", "expected_mib"),
    [
        ("memory.max", "67108864\n", 64),
        ("memory/memory.limit_in_bytes", "67108864\n", 64),
        ("memory.max", "max\n", None),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", None),  # no limit either
    ],
)
def test_memory_is_that_of_the_container(tmp_path, name, text, expected_mib):
    machine_mib = memory_mib(tmp_path)
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    assert memory_mib(tmp_path) == (expected_mib or machine_mib)
