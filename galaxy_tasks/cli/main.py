"""The command `galaxy-morphology`: the workflow without Airflow, predictions, releases and more."""

import sys

import typer

from galaxy_tasks.cli.holdout import holdout_app
from galaxy_tasks.cli.models import leaderboard, models_app
from galaxy_tasks.cli.predict import predict, similar
from galaxy_tasks.cli.prune import prune
from galaxy_tasks.cli.releases import releases_app
from galaxy_tasks.cli.workflow import ablate, run
from galaxy_tasks.config import keras_backend
from galaxy_tasks.errors import GalaxyMorphologyError
from galaxy_tasks.logs import set_up_logging
from galaxy_tasks.surroundings import pin_surroundings

app = typer.Typer(
    help="Galaxy-morphology classifiers from Galaxy Zoo releases.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(releases_app, name="releases")
app.add_typer(holdout_app, name="holdout")
app.add_typer(models_app, name="models")
app.command("run")(run)
app.command("ablate")(ablate)
app.command("leaderboard")(leaderboard)
app.command("predict")(predict)
app.command("similar")(similar)
app.command("prune")(prune)


def main() -> None:
    """Run the command; what goes wrong becomes a message and an exit code, no traceback."""
    pin_surroundings()
    set_up_logging()
    try:
        keras_backend()  # a wrong one is refused before any work
        app()
    except GalaxyMorphologyError as error:
        typer.echo(f"ERROR: {error}", err=True)
        sys.exit(error.exit_code)
    except ChildProcessError as error:  # the child has printed its own traceback
        typer.echo(f"ERROR: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
