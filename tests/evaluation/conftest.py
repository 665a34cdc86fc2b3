"""What the tests of the evaluation share."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def small_heap() -> Iterator[None]:
    """Leave few objects to statsmodels, which collects garbage whenever it adjusts p values."""
    gc.freeze()
    yield
    gc.unfreeze()
