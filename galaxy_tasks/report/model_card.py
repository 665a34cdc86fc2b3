"""The model card of a run's challenger, in Markdown, after Mitchell et al. 2019 (arXiv:1810.03993).

It stands beside the report and in the registry.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from galaxy_tasks.evaluation.metrics import Estimate
from galaxy_tasks.evaluation.repeats import ScoredModel
from galaxy_tasks.formatting import format_duration, format_multiply_adds, format_name
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.report.calibration import describe_calibration, describe_sets
from galaxy_tasks.report.contents import ReportInputs
from galaxy_tasks.report.settings_table import format_command
from galaxy_tasks.training.ancestry import trace_ancestors
from galaxy_tasks.training.model_record import ModelRecord

TEMPLATE = Path(__file__).with_name("model_card.md")
_SCORES = {
    "macro-F1": "macro_f1",
    "accuracy": "accuracy",
    "loss (nats)": "loss",
    "weighted F1": "weighted_f1",
}


def render_model_card(inputs: ReportInputs, record: ModelRecord, *, model_key: str) -> str:
    """Return the card of the challenger, whose artifact has this key."""
    models = [model for network in inputs.outcome.networks for model in network.models]
    scored = next(model for model in models if model.key == model_key)
    filters = {
        "words": format_name,
        "duration": format_duration,
        "multiply_adds": format_multiply_adds,
        "estimate": _format_estimate,
        "cell": lambda name: format_name(name).replace("|", "\\|"),
    }
    # Markdown, and no HTML: there is nothing to escape.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= filters
    return environment.get_template(TEMPLATE.name).render(
        inputs=inputs, record=record, **_gather(inputs, record, scored)
    )


def _gather(inputs: ReportInputs, record: ModelRecord, scored: ScoredModel) -> Mapping[str, Any]:
    evaluation, reliability = scored.evaluation, scored.reliability
    return {
        "config": record.config,
        "is_simulated": record.config.release == "simulated",
        "ancestors": [one.title for one in trace_ancestors(record.config)],
        "releases": [RELEASES[part.release] for part in record.config.parts()],
        "evaluation": evaluation,
        "scores": [(title, getattr(evaluation, name)) for title, name in _SCORES.items()],
        "calibration": describe_calibration(reliability),
        "sets": describe_sets(reliability),
        "orientations": min(inputs.config.test_time_augmentation, record.orientations),
        "command": format_command(inputs.config),
    }


def _format_estimate(score: Estimate) -> str:
    return f"{score.value:.3f} ({score.low:.2f} to {score.high:.2f})"
