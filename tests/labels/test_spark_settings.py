import os
import sys

import pytest

from galaxy_tasks.labels.spark_settings import memory_mib, spark_submit_environment


def test_spark_compiles_the_rules_of_a_release_however_long_its_method_is(spark):
    management = spark._jvm.java.lang.management.ManagementFactory
    kind = spark._jvm.java.lang.Class.forName("com.sun.management.HotSpotDiagnosticMXBean")
    machine = management.getPlatformMXBean(kind)
    assert machine.getVMOption("DontCompileHugeMethods").getValue() == "false"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with two Javas of its own, in a machine without any other."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    for age_s, home in ((100, "jdk-21-jre"), (200, "jdk-17-jre/Contents/Home")):
        write_program(tmp_path / ".java" / home / "bin" / "java", age_s=age_s)
    return tmp_path


def write_program(path, *, age_s=0):
    path.parent.mkdir(parents=True)
    path.touch(mode=0o700)
    changed_s = path.stat().st_mtime - age_s
    os.utime(path, (changed_s, changed_s))


def test_the_newest_java_of_the_project_is_taken_where_there_is_no_other(project):
    expected = str(project / ".java" / "jdk-21-jre")
    assert spark_submit_environment(project)["JAVA_HOME"] == expected

    newest = project / ".java" / "jdk-25.jdk" / "Contents" / "Home"
    write_program(newest / "bin" / "java")
    assert spark_submit_environment(project)["JAVA_HOME"] == str(newest)


def test_the_machines_java_comes_first(project, monkeypatch):
    write_program(project / "programs" / "java")
    assert "JAVA_HOME" not in spark_submit_environment(project)
    monkeypatch.setenv("JAVA_HOME", "/opt/java")
    assert spark_submit_environment(project)["JAVA_HOME"] == "/opt/java"


def test_without_any_java_the_environment_says_nothing_of_it(project):
    assert "JAVA_HOME" not in spark_submit_environment(project / "programs")


def test_another_spark_of_the_machine_takes_no_part(project, monkeypatch):
    monkeypatch.setenv("SPARK_HOME", "/opt/spark")
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    environment = spark_submit_environment(project)
    assert "SPARK_HOME" not in environment
    assert environment["SPARK_LOCAL_IP"] == "127.0.0.1"


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
