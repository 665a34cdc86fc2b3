"""The commands `galaxy-morphology models …`: which model is recommended, since when, and why."""

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from galaxy_tasks.errors import InputError
from galaxy_tasks.logs import without_noise

if TYPE_CHECKING:
    from galaxy_tasks.registry.champions import Change
    from galaxy_tasks.registry.models import Version

models_app = typer.Typer(
    help="The registered models: champions, challengers, and what came before.",
    no_args_is_help=True,
)
NameArgument = Annotated[str, typer.Argument(help="Name of a model, as 'models list' shows it.")]
OptionalName = Annotated[
    str, typer.Argument(help="Name of a model; not needed where there is one only.")
]
VersionArgument = Annotated[int, typer.Argument(help="Number of one of its versions.", min=1)]
NO_EVENT = (
    "This emits no event in Airflow: DAGs that wait for a champion start with the next one that a "
    "run promotes, or by hand."
)


@models_app.command("list")
def list_models() -> None:
    """List the models, one for each set of classes and kind of data, with their versions."""
    from galaxy_tasks.registry import models
    from galaxy_tasks.registry.champions import read_line
    from galaxy_tasks.registry.store import open_store

    with open_store() as client:
        names = models.list_names(client)
        if not names:
            print("No model is registered yet: a run registers its own.")
        for name in names:
            print(f"{name}  {client.get_registered_model(name).description}")
            last = read_line(client, name).last
            for version in models.list_versions(client, name):
                is_champion = bool(last and last.version == version.number)
                since = f", since {last.time[:10]}" if last and is_champion else ""
                mark = "champion" if is_champion else ""
                print(f"  {version.number:>4}  {mark:<8}  {_describe(version)}{since}")


@models_app.command("show")
def show(name: NameArgument, version: VersionArgument) -> None:
    """Show a version's card, where it comes from, and when it became champion."""
    from galaxy_tasks.registry import models
    from galaxy_tasks.registry.champions import read_line
    from galaxy_tasks.registry.store import open_store

    with open_store() as client:
        found = models.get_version(client, name, version)
        card = client.get_model_version(name, str(version)).description
        changes = read_line(client, name).changes
    print(f"{found.title}: {_describe(found)}")
    for change in changes:
        if change.version == version:
            print(_describe_change(change))
    for kind, key in (("models", found.facts.model), ("evaluations", found.facts.evaluation)):
        print(f"{kind}/{key}")
    print(f"\n{card}")


@models_app.command("promote")
def promote(
    name: NameArgument,
    version: VersionArgument,
    *,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")] = "Promoted by hand.",
) -> None:
    """Make a version the champion, whatever its evaluation says."""
    from galaxy_tasks.registry import champions, models
    from galaxy_tasks.registry.page import write_page
    from galaxy_tasks.registry.store import open_store

    with open_store() as client:
        champion = models.get_version(client, name, version)
        champions.promote(client, champion, reason=reason, by=_name_user())
        write_page(client)
    print(f"Champion: {champion.title}, {_describe(champion)}\n{NO_EVENT}")


@models_app.command("rollback")
def roll_back(
    name: OptionalName = "",
    *,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")] = "Rolled back.",
) -> None:
    """Make the champion before this one champion again."""
    from galaxy_tasks.registry import champions, models
    from galaxy_tasks.registry.page import write_page
    from galaxy_tasks.registry.store import open_store

    with open_store() as client:
        chosen = name or _only_name(models.list_names(client))
        champion = champions.roll_back(client, chosen, reason=reason, by=_name_user())
        write_page(client)
    print(f"Champion: {champion.title}, {_describe(champion)}\n{NO_EVENT}")


@models_app.command("export")
def export(
    name: Annotated[
        str, typer.Argument(help="Name of a model, whose champion is meant, or a model's folder.")
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="File or folder to write.")],
    kind: Annotated[
        Literal["onnx", "openvino", "keras", "saved_model"],
        typer.Option("--format", help="saved_model writes a folder, openvino a second file."),
    ] = "onnx",
) -> None:
    """Write a model for other programs: from prepared images to logits and features."""
    from galaxy_tasks.pipeline.export_files import export_file

    folder = Path(name) if Path(name).is_dir() else find_champion_of(name).model.path
    with without_noise():
        check = export_file(folder, kind, output)
    print(f"Wrote {output}. {check.describe()}")


@models_app.command("track")
def track() -> None:
    """Log in MLflow what it does not know yet, such as after its server was away."""
    from galaxy_tasks.registry.store import open_store, tracking_uri
    from galaxy_tasks.registry.tracking import track as track_all

    with open_store() as client:
        count = track_all(client)
    print(f"Logged {count:,} trainings and evaluations in {tracking_uri()}.")


def leaderboard() -> None:
    """List all runs with their winners, the newest first, and mark the champions."""
    from galaxy_tasks.registry.page import PAGE, list_champions, list_runs, write_page
    from galaxy_tasks.registry.store import open_store
    from galaxy_tasks.report.runs import list_runs_as_text
    from galaxy_tasks.storage.artifacts import home

    with open_store() as client:
        runs = list_runs([version for version, _ in list_champions(client)])
        write_page(client)
    print(list_runs_as_text(runs) if runs else "No run has been evaluated yet.")
    print(f"As a page, with links to the reports: {home() / PAGE}")


def find_champion_of(name: str) -> "Version":
    """Return the champion of a model, and print which it is; name '' stands for the only one.

    Raises:
        InputError: there is no such model, several, or no champion.
    """
    from galaxy_tasks.registry.champions import require_champion
    from galaxy_tasks.registry.store import open_store

    with open_store() as client:
        champion = require_champion(client, name)
    print(f"Champion: {champion.title}, {_describe(champion)}")
    return champion


def _only_name(names: list[str]) -> str:
    if len(names) != 1:
        known = ", ".join(names) or "none yet"
        raise InputError(f"Name a model. Models: {known}.")
    return names[0]


def _name_user() -> str:
    """Return who runs this, by number where the system knows no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _describe(version: "Version") -> str:
    facts = version.facts
    return f"{facts.architecture} on {facts.release}, evaluation {facts.evaluation}"


def _describe_change(change: "Change") -> str:
    by = f" By {change.by}." if change.by else ""
    how = "Champion again" if change.is_rollback else "Champion"
    return f"{how} since {change.time or 'an unknown time'}. {change.reason}{by}"
