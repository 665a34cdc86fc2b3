"""Ablations: which value of a setting is best, without a look at the test.

Each fold of the training galaxies is predicted by networks that have not learned from it, once for
each combination of values and for each architecture. Labels are made once, and images once for each
combination of image settings.
"""

import difflib
import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from galaxy_tasks.config import RunConfig, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.pipeline.train import train_fold
from galaxy_tasks.storage import artifacts, cache_keys
from galaxy_tasks.storage.artifacts import Artifact, Draft
from galaxy_tasks.storage.atomic_io import write_json

_logger = logging.getLogger(__name__)

REPORT, RESULTS, TABLE = "ablation.html", "results.json", "ablation.txt"
"""Names of an ablation's files."""
DEFAULT_FOLDS = 3
VARIABLE_SETTINGS = {
    *cache_keys.IMAGE_SETTINGS,
    *cache_keys.TRAINING_SETTINGS,
    "trunk_rate",
} - {"seed", "split_seed", "max_source_side_px"}
"""What may be varied: what determines images and models, but for what decides which galaxies take
part, and for luck."""


def keep_holdout(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of an ablation, whose test takes no part: it joins no holdout."""
    is_joining = parse_config(settings).holdout == "join"
    return {**settings, "holdout": "respect"} if is_joining else settings


def plan_ablation(settings: dict[str, Any], vary: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return {"preparations": [settings], "trainings": [training]} of an ablation.

    A training is {"name", "varied": settings, "preparation": index, "architecture", "seed",
    "fold"}; there is one for each combination of values, architecture and fold, of which there are
    `repeats`.

    Raises:
        InputError: a setting that cannot be varied, a wrong value, fewer than two folds.
    """
    config = parse_config(settings)
    if config.repeats < 2:
        raise InputError(
            "An ablation needs 'repeats' of 2 or more: each repeat leaves another fold of the "
            f"training galaxies out. Received: {config.repeats}"
        )
    if config.start_from:
        raise InputError(
            "An ablation scores networks on training galaxies, which the model in 'start_from' may "
            f"know. Leave that empty. Received: {config.start_from!r}"
        )
    combinations = _combine(config, vary)
    preparations: list[dict[str, Any]] = []
    trainings = []
    for varied in combinations:
        of_images = {name: varied[name] for name in varied if name in cache_keys.IMAGE_SETTINGS}
        if of_images not in preparations:
            preparations.append(of_images)
        shared = {"varied": varied, "preparation": preparations.index(of_images)}
        trainings += [{**shared, **one} for one in _list_trainings(config, varied)]
    _logger.info(
        "Trainings: %d (combinations of values: %d, networks: %d, folds: %d). Preparations of the "
        "images: %d.",
        *(len(trainings), len(combinations), len(config.architectures), config.repeats),
        len(preparations),
    )
    return {"preparations": preparations, "trainings": trainings}


def _list_trainings(config: RunConfig, varied: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the trainings of one combination of values."""
    values, count = ", ".join(f"{name} {value}" for name, value in varied.items()), config.repeats
    return [
        {
            "name": f"{architecture}, {values}, without fold {fold + 1} of {count}",
            "architecture": architecture,
            "seed": seed,
            "fold": [fold, count],
        }
        for architecture in config.architectures
        for fold, seed in enumerate(config.training_seeds)
    ]


def train_planned(
    settings: dict[str, Any], training: Mapping[str, Any], images: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Train one of the planned trainings; `images` are those of the preparations, in order."""
    return train_fold(
        {**settings, **training["varied"]},
        images[training["preparation"]],
        training["architecture"],
        training["seed"],
        training["fold"],
    )


def _combine(config: RunConfig, vary: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination of values, each as JSON; the first has the first values."""
    if not vary:
        raise InputError(
            "An ablation needs a setting to vary, with its values, such as denoise_method=none,"
            "gaussian."
        )
    for name, levels in vary.items():
        if name not in VARIABLE_SETTINGS:
            raise InputError(explain_not_variable(name))
        if not isinstance(levels, list | tuple) or len(levels) < 2:
            raise InputError(f"{name!r} needs a list of two values or more. Received: {levels!r}")
    given = config.model_dump(mode="json")
    combined = []
    for values in itertools.product(*vary.values()):
        checked = parse_config({**given, **dict(zip(vary, values, strict=True))})
        combined.append({name: checked.model_dump(mode="json")[name] for name in vary})
    for name in vary:
        values = [one[name] for one in combined]
        if len({*map(str, values)}) != len(vary[name]):
            raise InputError(f"{name!r} lists a value twice. Received: {list(vary[name])}")
    return combined


def explain_not_variable(name: str) -> str:
    """Return why a setting cannot be varied, and what can."""
    if name in RunConfig.model_fields:
        fault = "cannot be varied."
    else:
        meant = difflib.get_close_matches(name, VARIABLE_SETTINGS, n=1)
        fault = "is not a setting." + (f" Did you mean {meant[0]!r}?" if meant else "")
    return (
        f"{name!r} {fault} Choose among {', '.join(sorted(VARIABLE_SETTINGS))}; networks are "
        "chosen by 'architectures', and folds by 'repeats'."
    )


def evaluate_ablation(
    settings: dict[str, Any], vary: Mapping[str, Sequence[Any]], models: Sequence[dict[str, Any]]
) -> dict[str, str]:
    """Compare the values on the folds; publish and log the table.

    `models` are the references of the planned trainings, in order. Return the paths of report and
    results.
    """
    config = parse_config(settings)
    found = [Artifact.from_reference(model) for model in models]
    planned = plan_ablation(settings, vary)["trainings"]
    varied = [training["varied"] for training in planned]
    made_from = cache_keys.ablation_made_from(
        config, vary, model_keys=[model.key for model in found]
    )
    with artifacts.open_draft("ablations", made_from) as draft:
        published = draft.published or _publish(draft, config, varied, found)
    _logger.info("%s", (published.path / TABLE).read_text(encoding="utf-8"))
    return {"results": str(published.path / RESULTS), "report": str(published.path / REPORT)}


def _publish(
    draft: Draft, config: RunConfig, varied: Sequence[Mapping[str, Any]], models: Sequence[Artifact]
) -> Artifact:
    from galaxy_tasks.evaluation.ablation import compare_all
    from galaxy_tasks.evaluation.held_out import read_held_out
    from galaxy_tasks.report.ablation import render_ablation, render_table

    draft.clear()
    scores = [read_held_out(*pair, config) for pair in zip(models, varied, strict=True)]
    names = list(varied[0])
    found = compare_all(scores, names, alpha=config.alpha)
    (draft.path / TABLE).write_text(render_table(found), encoding="utf-8")
    (draft.path / REPORT).write_text(render_ablation(found, scores, config), encoding="utf-8")
    trainings = [asdict(score) for score in scores]
    write_json(draft.path / RESULTS, {**asdict(found), "trainings": trainings})
    return draft.publish({"varied": names})
