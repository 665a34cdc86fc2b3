"""### May this model become champion? Somebody decides.

**What** A challenger that was shown to be better than the champion waits for an answer: *Approve*
makes it champion, *Reject* leaves everything as it was. So does no answer within seven days.

**When** By itself after a run with *require_approval*, while the next runs go on; or by hand, with
the key of an evaluation.

**Needs** Somebody who looks under *Required Actions*.

**Result** An event of the asset `galaxy_champion`. Who approved is kept with the model's version.
"""

import os
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, chain, task
from airflow.sdk.configuration import conf
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowSkipException
from galaxy_champion import galaxy_champion, promote_evaluated
from galaxy_settings import DEFAULT_ARGS

from galaxy_tasks.pipeline.process import run_step

ANSWER_WITHIN = timedelta(seconds=float(os.environ.get("GALAXY_APPROVAL_WITHIN_S") or 604_800))


@task
def describe_challenger(params: Any = None) -> Any:
    """Return what is to be decided, as Markdown; skip where there is nothing to decide."""
    url = conf.get("api", "base_url", fallback="").rstrip("/")
    described = run_step("describe_challenger", evaluation=params["evaluation"], airflow_url=url)
    if described["refusal"]:
        raise AirflowSkipException(described["refusal"])
    return described["text"]


@task(outlets=[galaxy_champion])
def promote(params: Any = None, ti: Any = None, outlet_events: Any = None) -> Any:
    """Make the challenger champion, unless another became it meanwhile."""
    answer = ti.xcom_pull("approve")
    approver = (answer.get("responded_by_user") or {}).get("name", "")
    return promote_evaluated(
        params["evaluation"], approver=approver, ti=ti, outlet_events=outlet_events
    )


with DAG(
    dag_id="galaxy_promotion",
    description="Asks whether a better model may become champion",
    doc_md=__doc__,
    tags=["galaxy-zoo", "mlflow"],
    schedule=None,
    catchup=False,
    params=ParamsDict(
        {
            "evaluation": Param(
                type="string", pattern="^[0-9a-f]{16}$", description="Key of the evaluation."
            )
        }
    ),
    default_args=DEFAULT_ARGS,
) as dag:
    chain(
        describe_challenger(),
        ApprovalOperator(
            task_id="approve",
            subject="May this model become champion?",
            body="{{ ti.xcom_pull('describe_challenger') }}",
            defaults="Reject",
            response_timeout=ANSWER_WITHIN,
            execution_timeout=None,
        ),
        promote(),
    )
