from collections.abc import Iterator

import pytest
from harness import Standalone, start_standalone


@pytest.fixture(scope="session")
def standalone(tmp_path_factory) -> Iterator[Standalone]:
    """One tiny run of `scripts/run`, shared by all end-to-end tests."""
    with start_standalone(tmp_path_factory.mktemp("standalone")) as started:
        yield started
