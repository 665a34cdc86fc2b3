"""Which holdout is the latest. Reads manifests only, so that Airflow's processes can ask, too."""

from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact


def find_latest_holdout() -> Artifact | None:
    """Return the holdout with all galaxies that are in the test for good; None before the first.

    Each holdout extends the one before, so the one with the most galaxies is the latest.
    """
    return max(
        artifacts.list_published("holdouts"),
        key=lambda holdout: holdout.manifest["summary"]["galaxies"],
        default=None,
    )
