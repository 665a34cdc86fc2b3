from collections.abc import Iterator

import pytest
from fixtures.download_server import DownloadServer
from harness import Standalone, start_standalone


@pytest.fixture(scope="session")
def zenodo() -> Iterator[DownloadServer]:
    """What the shared `scripts/run` takes for Zenodo; it has no record at first."""
    server = DownloadServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def variables(zenodo) -> dict[str, str]:
    """What `scripts/run` finds in its environment."""
    return {
        "GALAXY_ZENODO_URL": zenodo.address(""),
        "GALAXY_ZENODO_POLL_S": "1",
        "GALAXY_APPROVAL_WITHIN_S": "90",
        "no_proxy": "127.0.0.1,localhost",
    }


@pytest.fixture(scope="session")
def standalone(tmp_path_factory, variables) -> Iterator[Standalone]:
    """One tiny run of `scripts/run`, shared by all end-to-end tests."""
    with start_standalone(tmp_path_factory.mktemp("standalone"), **variables) as started:
        yield started
