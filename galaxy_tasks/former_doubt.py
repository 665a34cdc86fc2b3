"""What is not certain of the galaxies that the last winner seems not to have learned from."""

from dataclasses import dataclass

import pandas as pd

from galaxy_tasks.config import RunConfig
from galaxy_tasks.releases.overlap import explain_overlaps, find_hidden_overlaps


@dataclass(frozen=True)
class Doubt:
    """How far it can be told whether the last winner has learned from some galaxies."""

    num_uncertain: int
    """Galaxies of which only id and image could tell, as places are not known on both sides."""
    may_know: str
    """Why it may know some of them all the same; empty: no reason is known."""

    def describe(self) -> str:
        """Return a sentence or two for the log, with a blank before; '' without a doubt."""
        lines = ""
        if self.num_uncertain:
            lines += (
                f" Of {self.num_uncertain:,} of these only id and image could tell, as places are "
                "not known on both sides."
            )
        return lines + (f" It may know some of them: {self.may_know}." if self.may_know else "")


def judge_doubt(
    config: RunConfig, former_config: RunConfig, unseen: pd.DataFrame, former: pd.DataFrame
) -> Doubt:
    """Return what is not certain of galaxies that the last winner seems not to know.

    Args:
        config: this run's settings.
        former_config: the last winner's.
        unseen: the galaxies, as `former.read_galaxies` returns them.
        former: the galaxies of the last winner's run, likewise.
    """
    learned = former[former["split"] != "test"]
    is_uncertain = unseen["ra_degrees"].isna() | bool(learned["ra_degrees"].isna().any())
    names = [[part.release for part in one.parts()] for one in (config, former_config)]
    overlaps = find_hidden_overlaps(*names) if is_uncertain.any() else []
    return Doubt(int(is_uncertain.sum()), explain_overlaps(overlaps))
