"""Shows reports in Airflow's page: a tab on each DAG run, and all runs under Browse."""

from typing import Any

from airflow.plugins_manager import AirflowPlugin


async def serve(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request for a page; only the API server, which is asked, loads what that takes."""
    from galaxy_report_app import app

    await app(scope, receive, send)


class GalaxyReportPlugin(AirflowPlugin):
    """A tab *Model report* on DAG runs and a page *Leaderboard* in the navigation."""

    name = "galaxy_report"
    fastapi_apps = [{"app": serve, "url_prefix": "/galaxy", "name": "galaxy_report"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Model report",
            "href": "galaxy/runs/{DAG_ID}/{RUN_ID}/report.html",
            "destination": "dag_run",
            "url_route": "model-report",
        },
        {
            "name": "Leaderboard",
            "href": "galaxy/leaderboard.html",
            "destination": "nav",
            "category": "browse",
            "url_route": "galaxy-leaderboard",
        },
    ]
