"""What survives an interruption: which chunks are finished, and for which plan that holds."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from galaxy_tasks.durable import read_json, write_json
from galaxy_tasks.preparation.workers import ChunkOutcome

_PLAN = "plan.json"


class Journal:
    """A folder with small files about finished chunks, valid for one plan.

    `plan` identifies everything that determines the pixels and their order. Records of another
    plan are thrown away with everything else in the folder.
    """

    def __init__(self, folder: Path, plan: str) -> None:
        """Open the journal, or begin it."""
        self.folder = folder
        self.plan = plan
        path = folder / _PLAN
        if not path.is_file() or read_json(path) != plan:
            self.clear()

    def clear(self) -> None:
        """Begin anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        write_json(self.folder / _PLAN, self.plan)

    def record(self, outcomes: Sequence[ChunkOutcome]) -> None:
        """Remember chunks whose pixels are on disk."""
        path = self.folder / f"chunks-{min(outcome.number for outcome in outcomes):07d}.json"
        write_json(path, [asdict(outcome) for outcome in outcomes])

    def finished(self) -> dict[int, ChunkOutcome]:
        """Return the outcomes of the chunks that are done, by number."""
        return {
            outcome["number"]: ChunkOutcome(**outcome)
            for path in self.folder.glob("chunks-*.json")
            for outcome in read_json(path)
        }

    def forget_rejections(self) -> None:
        """Have the chunks with a refused image done again: somebody may mend the files."""
        kept = [outcome for outcome in self.finished().values() if not any(outcome.reason)]
        for path in self.folder.glob("chunks-*.json"):
            path.unlink()
        if kept:
            self.record(kept)
