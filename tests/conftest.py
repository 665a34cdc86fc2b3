import logging
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fixtures.archive_inputs import make_tar, make_zip
from fixtures.download_server import DownloadServer
from pyspark.sql import SparkSession
from xdist.scheduler import LoadScopeScheduling

from galaxy_tasks.labels.spark_io import start_session


def pytest_configure(config: pytest.Config) -> None:
    """Leave out the slow tests, unless files or folders are named, or -m speaks of slow ones."""
    # A Spark of some seconds is over before its second compiler pays: a quarter less work.
    os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1")
    asked = config.option.markexpr
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS and "slow" not in asked:
        config.option.markexpr = f"({asked}) and not slow" if asked else "not slow"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest chain first: the tests of the one Airflow, on one process."""
    items.sort(key=lambda item: "e2e" not in item.keywords)


class SharedStarts(LoadScopeScheduling):
    """Keeps on one process the tests that share what starts slowly.

    Those are the tests of a file, and all that ask the one Airflow.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "e2e" if file.startswith("tests/e2e/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log) -> LoadScopeScheduling:
    return SharedStarts(config, log)


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One Spark session for all tests, since starting it takes ten seconds and more."""
    # At exit it tells a closed stream that it closes its connection.
    logging.getLogger("py4j.clientserver").setLevel(logging.WARNING)
    session = start_session("tests", cores=2)
    session.conf.set("spark.sql.shuffle.partitions", "2")
    compile_queries(session, False)  # a few rows are counted before Java code for them is compiled
    yield session
    session.stop()


@pytest.fixture
def compiling_spark(spark) -> Iterator[SparkSession]:
    """The same session while it compiles its queries, as users' sessions do."""
    compile_queries(spark, True)
    yield spark
    compile_queries(spark, False)


def compile_queries(session: SparkSession, is_on: bool) -> None:
    session.conf.set("spark.sql.codegen.wholeStage", is_on)
    session.conf.set("spark.sql.codegen.factoryMode", "FALLBACK" if is_on else "NO_CODEGEN")


@pytest.fixture(autouse=True)
def package_log(caplog, monkeypatch) -> pytest.LogCaptureFixture:
    """Have caplog take the package's records, from INFO up, whatever has set up its loggers."""
    logger = logging.getLogger("galaxy_tasks")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    caplog.set_level(logging.INFO, logger.name)
    return caplog


@pytest.fixture
def server(monkeypatch) -> Iterator[DownloadServer]:
    """A server on this machine, to which no proxy is in the way."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    server = DownloadServer()
    yield server
    server.stop()


@pytest.fixture(params=["a.zip", "stored.zip", "a.tar", "a.tar.gz"])
def make_archive(request, tmp_path) -> Callable[..., Path]:
    """Makes an archive of each kind, of the content by name."""

    def make(files) -> Path:
        path = tmp_path / request.param
        if path.suffix != ".zip":
            return make_tar(path, files)
        is_stored = request.param.startswith("stored")
        return make_zip(path, files, zipfile.ZIP_STORED if is_stored else zipfile.ZIP_DEFLATED)

    return make


@pytest.fixture(scope="module")
def free_keras_memory() -> Iterator[None]:
    """Gives back what the networks of a file's tests held."""
    yield
    import keras

    keras.utils.clear_session()
