"""The commands `galaxy-morphology holdout …`: what is in the test for good, and since which run."""

from typing import Annotated

import typer

holdout_app = typer.Typer(
    help="The galaxies that are held out for the test of all runs.",
    no_args_is_help=True,
)


@holdout_app.command("list")
def list_holdout() -> None:
    """List the runs whose test galaxies are in the holdout, and how many each added."""
    from galaxy_tasks.labels.holdout import list_entries

    entries = list_entries()
    if not entries:
        print("The holdout is empty.")
    for name, entry in entries.items():
        print(
            f"{name}  {entry['galaxies']:,} galaxies, {entry['joined']}, {entry['release']}, "
            f"test_fraction {entry['test_fraction']:g}"
        )


@holdout_app.command("forget")
def forget(
    name: Annotated[str, typer.Argument(help="Name of an entry, as 'holdout list' shows it.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take the galaxies that a run added out of the holdout: later runs may train on them.

    Champions that were tested on them stay. Do it while no run is under way.
    """
    from galaxy_tasks.labels.holdout import forget_entry, list_entries

    if not yes and (entry := list_entries().get(name)):
        typer.confirm(f"Forget {entry['galaxies']:,} galaxies of {entry['release']}?", abort=True)
    print(f"{forget_entry(name):,} galaxies forgotten.")
