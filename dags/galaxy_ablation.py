"""### What is a setting worth? Its values compared, without a look at the test.

**What** Networks are trained with each value of the settings in *vary*, on all training galaxies
but one fold, and scored on that fold: by loss first, then macro-F1 and accuracy. *repeats* is the
number of folds, each left out once, with a seed of its own.

**When** By hand or over the REST API, with the form. Values are compared with the first of each
list; several settings make a grid. Each combination costs as many trainings as there are networks
times folds.

**Needs** As `galaxy_morphology`: the connection `spark_default`, the pool `gpu`, and a worker that
serves the queue `gpu`.

**Result** A table at the end of `evaluate_ablation`'s log, and the path of `ablation.html`. Running
it again repeats no finished training, also with more values.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, chain, task
from galaxy_data import clean_labels, prepare_release, pull_labels
from galaxy_settings import DEFAULT_ARGS, make_params

from galaxy_tasks.config import default_preset, parse_config
from galaxy_tasks.pipeline.ablate import DEFAULT_FOLDS, keep_holdout, plan_ablation
from galaxy_tasks.pipeline.process import run_step
from galaxy_tasks.storage.latest_holdout import find_latest_holdout

VARY = Param(
    {"denoise_method": ["none", "gaussian", "median", "bilateral", "non_local_means"]},
    type="object",
    description="Settings of images and training with their values; the first is the reference.",
)


@task
def choose_release(params: Any = None, ti: Any = None) -> Any:
    """Return the form's settings; the XCom 'vary' has the values to compare, checked."""
    settings = {name: value for name, value in params.items() if name != "vary"}
    settings = keep_holdout(parse_config(settings).model_dump(mode="json"))
    plan_ablation(settings, params["vary"])
    holdout = find_latest_holdout()
    ti.xcom_push(key="holdout", value=holdout.as_reference() if holdout else None)
    ti.xcom_push(key="vary", value=params["vary"])
    return settings


@task
def list_preparations(ti: Any = None) -> Any:
    """Return the image settings of each preparation of the images."""
    return _plan(ti)["preparations"]


@task
def list_trainings(ti: Any = None) -> Any:
    """Return what each training varies, its network, seed and fold left out."""
    return _plan(ti)["trainings"]


@task(max_active_tis_per_dagrun=1)  # each takes all cores
def preprocess_images(preparation: dict[str, Any], ti: Any = None) -> Any:
    """Cut, scale and denoise the image of every labelled galaxy."""
    pulled = pull_labels(ti)
    return run_step(
        "preprocess_images", **{**pulled, "settings": {**pulled["settings"], **preparation}}
    )


@task(
    queue="gpu",
    pool="gpu",
    execution_timeout=timedelta(days=2),
    map_index_template="{{ task.op_kwargs['training']['name'] }}",
)
def train(training: dict[str, Any], images: Any, ti: Any = None) -> Any:
    """Train one network, going on from the last epoch of an earlier try."""
    return run_step(
        "train_planned",
        settings=ti.xcom_pull("choose_release"),
        training=training,
        images=list(images),
    )


@task
def evaluate_ablation(models: Any, ti: Any = None) -> Any:
    """Compare the values on the folds that were left out."""
    return run_step(
        "evaluate_ablation",
        settings=ti.xcom_pull("choose_release"),
        vary=ti.xcom_pull("choose_release", key="vary"),
        models=list(models),
    )


def _plan(ti: Any) -> dict[str, Any]:
    return plan_ablation(ti.xcom_pull("choose_release"), ti.xcom_pull("choose_release", key="vary"))


with DAG(
    dag_id="galaxy_ablation",
    description="What a setting is worth, on training galaxies that were left out",
    doc_md=__doc__,
    tags=["galaxy-zoo", "opencv", "spark", "tensorflow"],
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params=make_params(default_preset(), first={"vary": VARY}, repeats=DEFAULT_FOLDS),
    default_args=DEFAULT_ARGS,
) as dag:
    release, preparations, trainings = choose_release(), list_preparations(), list_trainings()
    images = preprocess_images.expand(preparation=preparations)
    models = train.partial(images=images).expand(training=trainings)
    chain(release, prepare_release(), clean_labels(), images)
    chain(release, [preparations, trainings])
    evaluate_ablation(models)
