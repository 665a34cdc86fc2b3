"""From a Galaxy Zoo release to a ranked set of galaxy-morphology classifiers.

`pipeline` has one file per task of the workflow. In the order of the tasks, it calls `acquisition`
(a release onto this disk), `labels` (votes to labels), `images` (cutouts to network inputs),
`training` and `networks`, `evaluation` (scores and the winner) and `report`. `cli` and `standalone`
start it, and `config.RunConfig` holds every setting. Nothing here imports Airflow.
"""

__version__ = "0.1.0"
