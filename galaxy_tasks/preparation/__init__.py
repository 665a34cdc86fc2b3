"""Many cutouts become one array of network inputs, with a manifest and a list of those refused.

`cutouts` has the one public function, `workers` the processes that do the work, `slots` the file
that they fill, `journal` what survives an interruption, and `log` what the task log shows.
"""

from galaxy_tasks.preparation.cutouts import PreparationSummary, prepare_cutouts

__all__ = ["PreparationSummary", "prepare_cutouts"]
