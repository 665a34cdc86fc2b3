"""### From a champion to a catalogue: classes and probabilities for other people's images.

**What** Classifies the images of catalogues with the champion: on the executors of the connected
Spark cluster or, without one, on all cores of this machine.

**When** By itself when a model becomes champion, over the catalogues that the Airflow variable
`galaxy_catalogues` lists: `[{"paths": ["/data/survey.parquet"], "output": "survey.parquet"}]`. By
hand, with the form, over one catalogue.

**Needs** A champion, and a worker that serves the queue `gpu`, which exports the model. On a
cluster the images, and the results' folder, on disks that all machines share.

**Result** The catalogue, and beside it a page with the shares of the classes and galaxies that are
worth a look. Relative outputs are below `catalogues` in the folder of all results. Trying again
goes on after the last finished shard.
"""

import json
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, Variable, chain, task
from airflow.sdk.bases.hook import BaseHook
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowSkipException
from galaxy_champion import galaxy_champion
from galaxy_settings import DEFAULT_ARGS
from galaxy_spark import StepSubmitOperator

from galaxy_tasks.labels.spark_settings import spark_submit_conf
from galaxy_tasks.pipeline.prediction_orders import complete_order, complete_orders
from galaxy_tasks.pipeline.process import run_step
from galaxy_tasks.pipeline.steps import PREDICT_ON_SPARK

CATALOGUES = "galaxy_catalogues"


@task
def list_catalogues(params: Any = None) -> Any:
    """Return what is to be predicted: the form's catalogue, else those of the variable."""
    if params["paths"]:
        form = {name: params[name] for name in ("paths", "output", "images")}
        return [complete_order({name: value for name, value in form.items() if value})]
    orders = Variable.get(CATALOGUES, default=[], deserialize_json=True)
    if not orders:
        raise AirflowSkipException(
            f"There is no catalogue to predict: the form names none, nor the variable {CATALOGUES}."
        )
    return complete_orders(orders)


@task
def choose_model(params: Any = None, triggering_asset_events: Any = None) -> str:
    """Return the name of the model whose champion predicts; '' for the only one."""
    events = [event for each in (triggering_asset_events or {}).values() for event in each]
    return params["model"] or (events[-1].extra.get("name", "") if events else "")


@task(queue="gpu", pool="gpu")
def export_champion(model: str) -> Any:
    """Export the champion for the programs that run it without Keras, and check them."""
    return run_step("export_champion", model=model)


class PredictOperator(StepSubmitOperator):
    """Predicts a catalogue on the connected Spark, or on this machine where that is no cluster."""

    def __init__(self, *, order: dict[str, Any], champion: Any, **settings: Any) -> None:
        """Keep what is ordered, a `CatalogueRequest` as JSON without its model."""
        super().__init__(
            application=str(PREDICT_ON_SPARK), name="predict", conf=spark_submit_conf(), **settings
        )
        self.order, self.champion = order, champion

    template_fields = (*StepSubmitOperator.template_fields, "order", "champion")

    def execute(self, context: Any) -> Any:
        """Predict it; return the counts."""
        facts = ("model", "title", "evaluation")
        request = {**self.order, **{name: self.champion[name] for name in facts}}
        master = BaseHook.get_connection(self._conn_id or "spark_default").host or ""
        if master.startswith("local"):
            return run_step("run_prediction", **request)
        self.application_args = ["--request", json.dumps(request)]
        return super().execute(context)


with DAG(
    dag_id="galaxy_prediction",
    description="Classifies the images of catalogues with the champion",
    doc_md=__doc__,
    tags=["galaxy-zoo", "spark"],
    schedule=[galaxy_champion],
    catchup=False,
    max_active_runs=1,
    params=ParamsDict(
        {
            "paths": Param(
                [],
                type=["array", "null"],
                items={"type": "string"},
                description="Images, folders, zips, tars, or tables that name images; empty: the "
                f"catalogues of the variable {CATALOGUES}.",
            ),
            "output": Param(
                "catalogue.parquet",
                type="string",
                description="Catalogue to write: .parquet, .fits, .vot or .csv.",
            ),
            "images": Param(
                "",
                type=["string", "null"],
                description="Folder, zip or tar with the images that a table names.",
            ),
            "model": Param(
                "",
                type=["string", "null"],
                description="Name of a model, whose champion predicts; empty: the only one.",
            ),
        }
    ),
    default_args=DEFAULT_ARGS,
) as dag:
    catalogues, model = list_catalogues(), choose_model()
    champion = export_champion(model)  # pyright: ignore[reportArgumentType]
    predict = PredictOperator.partial(
        task_id="predict", champion=champion, execution_timeout=timedelta(days=7)
    ).expand(order=catalogues)
    chain(catalogues, model, champion, predict)
