"""From a Galaxy Zoo release to a ranked set of galaxy-morphology classifiers.

The modules in reading order are the workflow: `releases` and `labels` (votes to labels),
`images` (cutouts to network inputs), `dataset`, `models` and `training` (networks), `evaluation`,
`selection` and `report` (the winner). `steps` has one function for each task, `cli` runs the same
steps without Airflow, and `config.RunConfig` holds every setting. Nothing here imports Airflow.
"""

__version__ = "0.1.0"
