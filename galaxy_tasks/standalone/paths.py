"""Where this project's own Airflow keeps its files, and the secrets among them."""

import os
from dataclasses import dataclass
from pathlib import Path

USER = "admin"


@dataclass(frozen=True)
class Place:
    """Where this Airflow keeps its files, and what it runs."""

    project: Path
    home: Path
    """Airflow's own folder."""

    @staticmethod
    def of_this_project() -> "Place":
        """Return this checkout's place; its folder is GALAXY_AIRFLOW_HOME if that is set."""
        project = Path(__file__).parents[2]
        named = os.environ.get("GALAXY_AIRFLOW_HOME")
        return Place(project, Path(named).absolute() if named else project / ".airflow")

    @property
    def log(self) -> Path:
        """What Airflow prints."""
        return self.home / "standalone.log"

    @property
    def passwords(self) -> Path:
        """The generated password."""
        return self.home / "passwords.json"

    @property
    def signing_key(self) -> Path:
        """The generated key that the parts of Airflow sign their requests with."""
        return self.home / "signing_key"

    @property
    def sessions(self) -> Path:
        """The sessions of the Airflow that runs now, or that was not ended."""
        return self.home / "sessions.json"


def keep(path: Path, value: str) -> str:
    """Return what the file holds; write `value` first, for its owner alone, if it is not there."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(value)
    return path.read_text()
