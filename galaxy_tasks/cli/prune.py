"""The command `galaxy-morphology prune`: frees the disk of what nothing needs any more."""

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
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Show what no champion, report or running task needs; remove it after asking.

    These are unfinished work, images prepared for earlier runs, models that no report lists,
    predictions of ablations and baselines, and simulated releases. A later run that wants one of
    them makes it again. Labels, holdouts, reports and their models stay.
    """
    from galaxy_tasks.evaluation.needed import list_needed

    unneeded = find_unneeded(list_needed(), unused_days=unused_days)
    if not unneeded:
        print(f"Nothing to remove in {home()}: all of it is needed, or was used lately.")
        return
    for folder in unneeded:
        print(_describe(folder))
    size = format_bytes(sum(folder.size_bytes for folder in unneeded))
    if not yes:
        typer.confirm(f"Remove {size} from {home()}?", abort=True)
    freed_bytes = 0
    for folder in unneeded:
        if reason := remove(folder):
            print(f"Kept {folder.path.relative_to(home())}: {reason}.")
        else:
            freed_bytes += folder.size_bytes
    print(f"Removed {format_bytes(freed_bytes)}.")


def _describe(folder: Unneeded) -> str:
    used = datetime.fromtimestamp(folder.last_used_s).strftime("%Y-%m-%d")
    size = format_bytes(folder.size_bytes)
    return f"{size:>9}  last used {used}  {folder.path.relative_to(home())}  ({folder.what})"
