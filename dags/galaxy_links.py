"""The link from a task to the report that it has made."""

from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf


class ReportLink(BaseOperatorLink):
    """Opens the report in a page of its own, where it can be printed."""

    @property
    def name(self) -> str:
        """The button's name."""
        return "Model report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the report's address."""
        base = conf.get("api", "base_url", fallback="").rstrip("/")
        run = quote(ti_key.run_id, safe=":+")
        return f"{base}/galaxy/runs/{ti_key.dag_id}/{run}/report.html"
