"""Serves published reports, and nothing else, to those who may read the runs that made them."""

import re
from pathlib import Path
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.models.xcom import XComModel
from fastapi import Depends, FastAPI, HTTPException
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse

from galaxy_tasks.storage.artifacts import home

DAG_ID = "galaxy_morphology"
# What a page brings itself it may use; it can load nothing, send nothing and be framed by Airflow
# alone. Each page narrows its scripts and styles further, to its own.
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
SANDBOXED = f"{POLICY}; sandbox allow-scripts"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
NO_REPORT = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="color-scheme" content="light dark"><title>No report</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem; }</style></head>
<body><p>{}</p></body></html>"""
Key = Annotated[str, PathParameter(pattern="^[0-9a-f]{16}$")]

# Whoever may see the runs of a DAG may see their reports. Its id is in the path, or fixed: taken
# from the query, it would be the asker's to choose.
may_read_run = Depends(requires_access_dag("GET", DagAccessEntity.RUN))
may_read_runs = Depends(requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id=DAG_ID))

app = FastAPI(openapi_url=None)


@app.get("/runs/{dag_id}/{run_id:path}/report.html", dependencies=[may_read_run])
def show_report(dag_id: str, run_id: str, session: SessionDep) -> HTMLResponse:
    """Return the report that a DAG run's task `evaluate` has made, or say that there is none."""
    query = XComModel.get_many(
        run_id=run_id, key="return_value", task_ids="evaluate", dag_ids=dag_id
    )
    entry = session.scalars(query).first()
    returned: Any = entry and XComModel.deserialize_value(entry)
    key = returned.get("evaluation") if isinstance(returned, dict) else None
    if dag_id != DAG_ID or not re.fullmatch("[0-9a-f]{16}", str(key)):
        return _say("This run has no report: its task evaluate has made none, or has none to make.")
    return _serve(_find_report(str(key)), headers={**HEADERS, "Content-Security-Policy": SANDBOXED})


@app.get("/leaderboard.html", dependencies=[may_read_runs])
def show_leaderboard() -> HTMLResponse:
    """Return the list of all runs' winners and champions."""
    return _serve(home() / "leaderboard.html")


@app.get("/evaluations/{key}/report.html", dependencies=[may_read_runs])
def show_evaluation(key: Key) -> HTMLResponse:
    """Return the report of an evaluation, to which the leaderboard leads."""
    return _serve(_find_report(key), headers={**HEADERS, "Content-Security-Policy": SANDBOXED})


def _find_report(key: str) -> Path:
    return home() / "evaluations" / key / "report.html"


def _serve(path: Path, *, headers: dict[str, str] = HEADERS) -> HTMLResponse:
    if not path.is_file():
        return _say(f"{path.name} is not there (any more).", status=404)
    try:
        return HTMLResponse(path.read_text(encoding="utf-8"), headers=headers)
    except OSError as error:
        raise HTTPException(500, f"{path.name} cannot be read: {error.strerror}") from None


def _say(text: str, *, status: int = 200) -> HTMLResponse:
    return HTMLResponse(NO_REPORT.replace("{}", text), status_code=status, headers=HEADERS)
