"""The workflow and its ablations on this machine, without Airflow."""

import json
import os
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from galaxy_tasks.cli.options import (
    PresetOption,
    complete_settings,
    read_values,
    with_setting_options,
)
from galaxy_tasks.config import FAMILIES, default_preset, parse_config
from galaxy_tasks.errors import GalaxyMorphologyError, InputError
from galaxy_tasks.labels.spark_settings import spark_submit_conf, spark_submit_environment
from galaxy_tasks.pipeline.ablate import (
    DEFAULT_FOLDS,
    VARIABLE_SETTINGS,
    explain_not_variable,
    keep_holdout,
    plan_ablation,
)
from galaxy_tasks.pipeline.process import read_result, relog_output, run_step
from galaxy_tasks.pipeline.steps import CLEAN_LABELS
from galaxy_tasks.pipeline.train import train_networks
from galaxy_tasks.storage.latest_holdout import find_latest_holdout


@with_setting_options()
def run(
    *,
    preset: PresetOption = None,
    settings: dict[str, Any],
) -> None:
    """Run the whole workflow on this machine, without Airflow.

    The steps are those of the DAG, one after the other. Finished work is not repeated, and an
    interrupted training continues from its last epoch.
    """
    values = complete_settings(settings, preset or default_preset())
    if values["start_from"]:
        values = run_step("pin_start", settings=values)
    inputs = {"settings": values, "release_files": run_step("prepare_release", settings=values)}
    labels = clean_labels(**inputs)
    images = run_step("preprocess_images", **inputs, labels=labels)
    inputs |= {"labels": labels, "images": images}
    champion = _attempt("predict_champion", run_step, "predict_champion", **inputs)
    config = parse_config(values)
    trainings = [
        _attempt(f"train_{family}", train_networks, family, values, images, seed=seed)
        for family in FAMILIES
        if config.variants(family)
        for seed in config.training_seeds
    ]
    baseline = _attempt(
        "train_baseline", run_step, "train_baseline", settings=values, images=images
    )
    outcome = run_step(
        "evaluate",
        settings=values,
        labels=labels,
        images=images,
        trainings=trainings,
        champion=champion,
        baseline=baseline,
    )
    run_step("promote", evaluation=outcome["evaluation"])


@with_setting_options(
    repeats={
        "default": DEFAULT_FOLDS,
        "description": "Folds of the training galaxies, each left out once (2 to 20).",
    }
)
def ablate(
    *,
    vary: Annotated[
        list[str],
        typer.Option(
            help="A setting and its values, such as denoise_method=none,gaussian; the others are "
            "compared with the first. Repeat it for a grid."
        ),
    ],
    preset: PresetOption = None,
    settings: dict[str, Any],
) -> None:
    """Compare values of settings on training galaxies that each network has not learned from.

    Every combination of values is trained with each of 'architectures', 'repeats' times (3 unless
    given): each time another seed learns from all training galaxies but one part of them, and is
    scored on that part. The test galaxies take no part. Finished trainings are not repeated.
    """
    given = {"repeats": DEFAULT_FOLDS, **settings}
    values = keep_holdout(complete_settings(given, preset or default_preset()))
    varied = _read_vary(vary)
    plan = plan_ablation(values, varied)
    release_files = run_step("prepare_release", settings=values)
    labels = clean_labels(values, release_files)
    images = [
        run_step(
            "preprocess_images",
            settings={**values, **preparation},
            release_files=release_files,
            labels=labels,
        )
        for preparation in plan["preparations"]
    ]
    models = []
    for number, training in enumerate(plan["trainings"], start=1):
        typer.echo(f"Training {number} of {len(plan['trainings'])}: {training['name']}")
        models.append(run_step("train_planned", settings=values, training=training, images=images))
    run_step("evaluate_ablation", settings=values, vary=varied, models=models)


def _read_vary(given: list[str]) -> dict[str, list[Any]]:
    """Return the values of each setting from texts such as 'epochs=10,20'.

    Raises:
        InputError: a text without '=', a setting that cannot be varied, or one twice.
    """
    varied: dict[str, list[Any]] = {}
    for text in given:
        name, separator, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not separator:
            raise InputError(f"--vary takes SETTING=VALUE,VALUE,… Received: {text!r}")
        if name in varied:
            raise InputError(f"--vary names {name!r} twice. Received: {', '.join(given)}")
        if name not in VARIABLE_SETTINGS:
            raise InputError(explain_not_variable(name))
        varied[name] = read_values(name, values)
    return varied


def clean_labels(settings: dict[str, Any], release_files: dict[str, Any]) -> dict[str, str]:
    """Submit the label job to a local Spark, as the DAG's task does; return the labels' reference.

    Raises:
        InputError: the job refused its input.
        ChildProcessError: it failed in another way.
    """
    latest = find_latest_holdout()
    holdout = latest.as_reference() if latest else None
    conf = [part for item in spark_submit_conf().items() for part in ("--conf", "=".join(item))]
    scripts = sysconfig.get_path("scripts")
    # spark-submit looks for Spark with the first Python of the PATH.
    path = os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)])
    with tempfile.TemporaryDirectory(prefix="galaxy-step-") as folder:
        result = Path(folder, "result.json")
        command = [
            *(str(Path(scripts, "spark-submit")), "--master", "local[*]", *conf, str(CLEAN_LABELS)),
            *("--settings", json.dumps(settings), "--release-files", json.dumps(release_files)),
            *("--holdout", json.dumps(holdout), "--result", str(result)),
        ]
        exit_code = relog_output(command, {**spark_submit_environment(), "PATH": path})
        if result.is_file():
            return read_result(result)
    raise ChildProcessError(f"spark-submit ended with exit code {exit_code}.")


def _attempt(task: str, step: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Return a step's result, or None where it failed: the run goes on without it."""
    try:
        return step(*arguments, **named)
    except (GalaxyMorphologyError, ChildProcessError) as error:
        typer.echo(f"ERROR: {task}: {error}", err=True)
        return None
