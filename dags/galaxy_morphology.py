"""### From a Galaxy Zoo release to the best classifier of galaxy morphology.

**What** Spark turns votes into one label per galaxy, OpenCV prepares the images, TensorFlow trains
an AlexNet, a ResNet and a DenseNet; the best macro-F1 on galaxies none of them has seen wins.

**When** By itself when a manifest announces a release in the watched folder, with its settings. Or
by hand or over the REST API, with the form's; left alone, it draws a *simulated* release. Another
is a file of ten lines and its name in `galaxy_tasks/releases/`, or a manifest: `docs/releases.md`.

**Needs** The connection `spark_default`, the pool `gpu`, and a worker that serves the queue `gpu`.

**Result** A leaderboard at the end of `evaluate`'s log, and the path of `report.html`. Running it
again is safe: that repeats no finished work, and training goes on from its last epoch. Bad data
fails at once; everything else is tried three times.
"""

from pathlib import Path

import galaxy_gpu_steps as gpu_steps
import galaxy_steps as steps
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG, TaskGroup, chain
from galaxy_choice import choose_release
from galaxy_form import make_params
from galaxy_release_asset import make_schedule
from galaxy_retries import DEFAULT_ARGS

import galaxy_tasks
from galaxy_tasks.config import FAMILIES
from galaxy_tasks.presets import default_preset
from galaxy_tasks.spark_conf import spark_submit_conf

with DAG(
    dag_id="galaxy_morphology",
    description="From a Galaxy Zoo release to the best of three kinds of networks",
    doc_md=__doc__,
    tags=["galaxy-zoo", "opencv", "spark", "tensorflow"],
    schedule=make_schedule(),
    catchup=False,
    max_active_runs=1,
    params=make_params(default_preset()),
    default_args=DEFAULT_ARGS,
) as dag:
    clean_labels = SparkSubmitOperator(
        task_id="clean_labels",
        name="clean_labels",
        application=str(Path(galaxy_tasks.__file__).with_name("labels.py")),
        application_args=[
            *("--settings", "{{ ti.xcom_pull('choose_release') | tojson }}"),
            *("--release-files", "{{ ti.xcom_pull('prepare_release') | tojson }}"),
        ],
        conf=spark_submit_conf(),
    )
    with TaskGroup("train", prefix_group_id=False):
        train = gpu_steps.train_family
        trainings = [train.override(task_id=f"train_{name}")(name) for name in FAMILIES]
    start = [choose_release(), steps.prepare_release()]
    models = [gpu_steps.predict_last_winner(), *trainings]
    chain(*start, clean_labels, steps.preprocess_images(), models, steps.evaluate())
