"""The commands `galaxy-morphology models …`: which model is recommended, since when, and why."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from galaxy_tasks.errors import InputError

if TYPE_CHECKING:
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
    from galaxy_tasks.registry.store import open_store

    with open_store() as client:
        names = models.list_names(client)
        if not names:
            print("No model is registered yet: a run registers its own.")
        for name in names:
            print(f"{name}  {client.get_registered_model(name).description}")
            champion = models.find_champion(client, name)
            for version in models.list_versions(client, name):
                mark = "champion" if version == champion else ""
                print(f"  {version.number:>4}  {mark:<8}  {_describe(version)}")


@models_app.command("show")
def show(name: NameArgument, version: VersionArgument) -> None:
    """Show a version's card and where it comes from."""
    from galaxy_tasks.registry import models
    from galaxy_tasks.registry.store import open_store

    with open_store() as client:
        found = models.get_version(client, name, version)
        card = client.get_model_version(name, str(version)).description
    print(f"{found.title}: {_describe(found)}")
    if found.promoted:
        approved = f" Approved by {found.approver}." if found.approver else ""
        print(f"Promoted {found.promoted}. {found.reason}{approved}")
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
    from galaxy_tasks.registry import models
    from galaxy_tasks.registry.page import write_page
    from galaxy_tasks.registry.store import open_store

    with open_store() as client:
        chosen = models.get_version(client, name, version)
        champion = models.promote(client, chosen, reason=reason, approver=getpass.getuser())
        write_page(client)
    print(f"Champion: {champion.title}, {_describe(champion)}\n{NO_EVENT}")


@models_app.command("rollback")
def roll_back(name: OptionalName = "") -> None:
    """Make the champion before this one champion again."""
    from galaxy_tasks.registry import models
    from galaxy_tasks.registry.page import write_page
    from galaxy_tasks.registry.store import open_store

    with open_store() as client:
        champion = models.roll_back(client, name or _only_name(models.list_names(client)))
        write_page(client)
    print(f"Champion: {champion.title}, {_describe(champion)}\n{NO_EVENT}")


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
        runs = list_runs(list_champions(client))
        write_page(client)
    print(list_runs_as_text(runs) if runs else "No run has been evaluated yet.")
    print(f"As a page, with links to the reports: {home() / PAGE}")


def find_champion_folder(name: str) -> Path:
    """Return the folder of a model's champion; name '' stands for the only one.

    Raises:
        InputError: there is no such model, several, or no champion.
    """
    from galaxy_tasks.registry import models
    from galaxy_tasks.registry.store import open_store

    with open_store() as client:
        names = models.list_names(client)
        champions = {one: models.find_champion(client, one) for one in names}
    known = {one: version for one, version in champions.items() if version}
    chosen = name or _only_name(list(known))
    if chosen not in known:
        raise InputError(
            f"--model must be a folder of a trained model, or a name with a champion. Names: "
            f"{', '.join(known) or 'none yet'}. Received: {name!r}"
        )
    champion = known[chosen]
    print(f"Champion: {champion.title}, {_describe(champion)}")
    return champion.model.path


def _only_name(names: list[str]) -> str:
    if len(names) != 1:
        known = ", ".join(names) or "none yet"
        raise InputError(f"Name a model. Models: {known}.")
    return names[0]


def _describe(version: "Version") -> str:
    facts = version.facts
    since = f", champion since {version.promoted[:10]}" if version.promoted else ""
    return f"{facts.architecture} on {facts.release}, evaluation {facts.evaluation}{since}"
