"""### From a Galaxy Zoo release to the best classifier of galaxy morphology.

**What** Spark turns votes into one label per galaxy, OpenCV prepares the images, TensorFlow trains
an AlexNet, a ResNet and a DenseNet. Scored by macro-F1 on galaxies that none of them has seen, the
cheapest wins that is shown to be hardly worse than the best, else the best.

**When** By itself when a manifest announces a release in the watched folder, with its settings. Or
by hand or over the REST API, with the form's; left alone, it draws a *simulated* release. Another
is a file of ten lines and its name in `galaxy_tasks/releases/`, or a manifest: `docs/releases.md`.

**Needs** The connection `spark_default`, the pool `gpu`, and a worker that serves the queue `gpu`.

**Result** A leaderboard at the end of `evaluate`'s log, and a report. The model that is shown to be
better than the champion takes its place (task `promote`), with *require_approval* once somebody
agrees. Running it again is safe: that repeats no finished work, and training goes on from its last
epoch. Bad data fails at once; everything else is tried three times.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, TaskGroup, TriggerRule, chain, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from galaxy_champion import galaxy_champion, promote_evaluated
from galaxy_data import clean_labels, prepare_release, pull_labels
from galaxy_links import ReportLink
from galaxy_releases import IDLE, choose_release, log_release, make_schedule
from galaxy_settings import DEFAULT_ARGS, make_params

from galaxy_tasks.config import FAMILIES, Family, default_preset, parse_config
from galaxy_tasks.pipeline.process import run_step
from galaxy_tasks.pipeline.train import train_networks


@task
def choose_seeds(ti: Any = None) -> list[int]:
    """Return a seed for each training of a network."""
    return list(parse_config(ti.xcom_pull("choose_release")).training_seeds)


@task
def preprocess_images(ti: Any = None) -> Any:
    """Cut, scale and denoise the image of every labelled galaxy."""
    return run_step("preprocess_images", **pull_labels(ti))


@task(queue="gpu", pool="gpu")
def predict_champion(ti: Any = None) -> Any:
    """Predict, with the champion, the test galaxies that it has not learned from."""
    images = ti.xcom_pull("preprocess_images")
    return run_step("predict_champion", **pull_labels(ti), images=images)


# Trainings go first where slots are few: only the report waits for the champion.
@task(
    queue="gpu",
    pool="gpu",
    priority_weight=2,
    execution_timeout=timedelta(days=2),
    map_index_template="seed {{ task.op_kwargs['seed'] }}",
)
def train_family(family: Family, seed: int, ti: Any = None) -> Any:
    """Train the chosen networks of one family, going on from the last epoch of an earlier try."""
    settings = ti.xcom_pull("choose_release")
    if not parse_config(settings).variants(family):
        raise AirflowSkipException(
            f"This run trains no {family}, by 'architectures' or 'start_from'."
        )
    images = ti.xcom_pull("preprocess_images")
    return train_networks(family, settings, images, seed=seed)


@task
def train_baseline(ti: Any = None) -> Any:
    """Train gradient boosting on simple measurements of the images, to hold networks against."""
    settings = ti.xcom_pull("choose_release")
    return run_step("train_baseline", settings=settings, images=ti.xcom_pull("preprocess_images"))


@task(trigger_rule=TriggerRule.ALL_DONE)
def evaluate(ti: Any = None) -> Any:
    """Compare the trained models on the test galaxies and name the winner."""
    images = ti.xcom_pull("preprocess_images")
    if ti.xcom_pull("choose_release", key=IDLE):
        raise AirflowSkipException("There was nothing to do.")
    if images is None:
        raise AirflowFailException(
            "There are no prepared images, so no model either. The first failed task says why."
        )
    return run_step(
        "evaluate",
        settings=ti.xcom_pull("choose_release"),
        labels=ti.xcom_pull("clean_labels"),
        images=images,
        champion=ti.xcom_pull("predict_champion"),
        baseline=ti.xcom_pull("train_baseline"),
        trainings=ti.xcom_pull([f"train_{family}" for family in FAMILIES]),
    )


@task(outlets=[galaxy_champion])
def promote(ti: Any = None, outlet_events: Any = None) -> Any:
    """Make this run's challenger champion, if it is shown to be better and nobody need be asked."""
    evaluated = ti.xcom_pull("evaluate")
    if _needs_approval(ti, evaluated):
        raise AirflowSkipException("It waits for approval, in galaxy_promotion.")
    return promote_evaluated(
        evaluated["evaluation"], approver="", ti=ti, outlet_events=outlet_events
    )


class ApprovalRequest(TriggerDagRunOperator):
    """Starts a run of galaxy_promotion where somebody is to be asked."""

    def execute(self, context: Any) -> None:
        """Start it, or skip the task."""
        ti = context["ti"]
        if not _needs_approval(ti, ti.xcom_pull("evaluate")):
            raise AirflowSkipException("There is nothing to ask.")
        super().execute(context)


def _needs_approval(ti: Any, evaluated: dict[str, Any]) -> bool:
    settings = parse_config(ti.xcom_pull("choose_release"))
    return settings.require_approval and evaluated["is_promoted"]


with DAG(
    dag_id="galaxy_morphology",
    description="From a Galaxy Zoo release to the best of three kinds of networks",
    doc_md=__doc__,
    tags=["galaxy-zoo", "opencv", "spark", "tensorflow"],
    schedule=make_schedule(),
    catchup=False,
    max_active_runs=1,
    params=make_params(default_preset()),
    default_args={**DEFAULT_ARGS, "pre_execute": log_release},
) as dag:
    release, seeds = choose_release(), choose_seeds()
    with TaskGroup("train", prefix_group_id=False):
        trainings = [
            train_family.override(task_id=f"train_{name}").partial(family=name).expand(seed=seeds)
            for name in FAMILIES
        ]
    models = [predict_champion(), *trainings, train_baseline()]
    evaluated = evaluate()
    dag.get_task("evaluate").operator_extra_links = (ReportLink(),)
    chain(release, prepare_release(), clean_labels(), preprocess_images(), models, evaluated)
    chain(release, seeds)
    request = ApprovalRequest(
        task_id="request_approval",
        trigger_dag_id="galaxy_promotion",
        trigger_run_id="approval__{{ ti.xcom_pull('evaluate')['evaluation'] }}__{{ run_id }}",
        skip_when_already_exists=True,
        conf={"evaluation": "{{ ti.xcom_pull('evaluate')['evaluation'] }}"},
    )
    chain(evaluated, [promote(), request])
