"""This run beside the last one: the two winners, and the two releases."""

from dataclasses import dataclass

from galaxy_tasks import artifacts
from galaxy_tasks.artifacts import Artifact
from galaxy_tasks.changes import ReleaseChanges, describe_changes
from galaxy_tasks.config import RunConfig
from galaxy_tasks.contestants import Contestant
from galaxy_tasks.former import open_former
from galaxy_tasks.succession import Succession, compare_with_former


@dataclass(frozen=True)
class History:
    """This run beside the last one; None where there was none, or nothing changed."""

    succession: Succession | None
    changes: ReleaseChanges | None

    def describe(self) -> str:
        """Return a line or two for the task log."""
        if self.succession is None:
            return (
                "Last winner: none to compare with (or asking it failed: see predict_last_winner)."
            )
        lines = [f"Last winner: {self.succession.verdict}"]
        if self.changes:
            lines.append(
                f"Since its release: {self.changes.common_galaxies:,} galaxies are common, "
                f"{self.changes.changed_galaxies:,} of them with another label."
            )
        return "\n".join(lines)


def look_back(
    config: RunConfig, images: Artifact, predictions: Artifact | None, winner: Contestant
) -> History:
    """Return what there is to say; `predictions` are the last winner's, None if there is none."""
    if predictions is None:
        return History(None, None)
    former = open_former(predictions.manifest["summary"]["evaluation"])
    return History(
        compare_with_former(config, former=former, predictions=predictions, winner=winner),
        describe_changes(config, former=former, labels=labels_of(images), images=images),
    )


def labels_of(images: Artifact) -> Artifact:
    """Return the labels that prepared images were made from."""
    return artifacts.get("labels", images.manifest["summary"]["labels"])
