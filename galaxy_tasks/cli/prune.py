"""The command `galaxy-morphology prune`: frees the disk of what nothing needs any more."""

import time
from datetime import datetime
from typing import Annotated

import typer

from galaxy_tasks.formatting import format_bytes
from galaxy_tasks.storage.artifacts import home
from galaxy_tasks.storage.pruning import Unneeded, find_unneeded, remove


def prune(
    *,
    unused_days: Annotated[
        float,
        typer.Option(min=0, help="Keep what was used in these days: a run may need it."),
    ] = 7,
    report_days: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Also remove reports older than these days, with their models and what MLflow has "
            "of them; not those of champions, nor of the champions before. Default: none.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Show what no champion, report or running task needs; remove it after asking.

    These are unfinished work, images prepared for earlier runs, models that no report lists,
    predictions of ablations and baselines, and simulated releases. A later run that wants one of
    them makes it again. Labels, holdouts, reports and their models stay.
    """
    from galaxy_tasks.registry.needed import list_needed

    since = "" if report_days is None else _format_time(time.time() - report_days * 86_400)
    unneeded = find_unneeded(list_needed(reports_after=since), unused_days=unused_days)
    if not unneeded:
        print(f"Nothing to remove in {home()}: all of it is needed, or was used lately.")
        if report_days is not None:  # what an earlier call was killed before
            _forget_removed()
        return
    for folder in unneeded:
        print(_describe(folder))
    size = format_bytes(sum(folder.size_bytes for folder in unneeded))
    if not yes:
        typer.confirm(f"Remove {size} from {home()}?", abort=True)
    freed_bytes = sum(_remove(folder) for folder in unneeded)
    if report_days is not None:
        _forget_removed()
    print(f"Removed {format_bytes(freed_bytes)}.")


def _remove(folder: Unneeded) -> int:
    """Remove a folder and return the bytes that are free now, or say why it was kept."""
    if reason := remove(folder):
        print(f"Kept {folder.path.relative_to(home())}: {reason}.")
        return 0
    return folder.size_bytes


def _forget_removed() -> None:
    from galaxy_tasks.registry.forgetting import forget_removed
    from galaxy_tasks.registry.page import write_page
    from galaxy_tasks.registry.store import open_store

    with open_store() as client:
        count = forget_removed(client)
        write_page(client)
    print(f"Removed {count:,} runs and versions from MLflow.")


def _format_time(moment_s: float) -> str:
    """Return a time as manifests have it, in UTC as ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment_s))


def _describe(folder: Unneeded) -> str:
    used = datetime.fromtimestamp(folder.last_used_s).strftime("%Y-%m-%d")
    size = format_bytes(folder.size_bytes)
    return f"{size:>9}  last used {used}  {folder.path.relative_to(home())}  ({folder.what})"
