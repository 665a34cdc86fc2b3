"""Where this project's own Airflow keeps its files, and the secrets among them."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from galaxy_tasks.errors import InputError

USER = "admin"
_SPLITTING = re.compile(r"""['"`\\$:;,%#?*\[\]{}\x00-\x1f\x7f]""")
"""What paths in a PATH, in an SQLite URL or in a configuration file cannot have."""


@dataclass(frozen=True)
class Paths:
    """The project that an Airflow runs, and the files that Airflow keeps."""

    project: Path
    home: Path
    """Airflow's own folder."""

    @staticmethod
    def of_this_project() -> "Paths":
        """Return this checkout's paths; GALAXY_AIRFLOW_HOME names another folder for Airflow.

        Raises:
            InputError: Airflow would take the folder's path apart.
        """
        project = Path(__file__).parents[2]
        named = os.environ.get("GALAXY_AIRFLOW_HOME")
        home = Path(named).expanduser().absolute() if named else project / ".airflow"
        if _SPLITTING.search(str(home)):
            raise InputError(
                "GALAXY_AIRFLOW_HOME must have no quotes, colons, line breaks or any of "
                f"` \\ $ ; , % # ? * [ ] {{ }} in its path. Received: {str(home)!r}"
            )
        return Paths(project, home)

    @property
    def log(self) -> Path:
        """What Airflow prints."""
        return self.home / "standalone.log"

    @property
    def lock(self) -> Path:
        """Held as long as an Airflow runs; names its process."""
        return self.home / "lock"

    @property
    def address(self) -> Path:
        """The address of the Airflow that runs now."""
        return self.home / "address"

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
        """The session leaders of the Airflow that runs now, or that was killed."""
        return self.home / "sessions.json"


def read_or_write_secret(path: Path, value: str) -> str:
    """Return the file's text; if there is no file, write `value` first, for its owner alone."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(value)
    return path.read_text()
