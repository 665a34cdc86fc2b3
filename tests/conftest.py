import logging
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from galaxy_tasks.spark import start_session


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One Spark session for all tests, since starting it takes ten seconds and more."""
    # At exit it tells a closed stream that it closes its connection.
    logging.getLogger("py4j.clientserver").setLevel(logging.WARNING)
    session = start_session("tests", cores=2)
    yield session
    session.stop()
