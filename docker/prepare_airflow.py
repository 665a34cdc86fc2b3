"""Prepares Airflow's database, the administrator's account and the pool; can be run again.

These are commands of Airflow's own, run in one process because Airflow takes seconds to start, and
because every user of a machine can read a command's arguments, here a password.
"""

import os

from airflow.cli.cli_parser import get_parser


def main() -> None:
    """Run the commands; the first that fails ends this."""
    user, password = os.environ["ADMIN_USER"], os.environ["ADMIN_PASSWORD"]
    account = ("--username", user, "--password", password)
    names = ("--firstname", "Galaxy", "--lastname", "Admin", "--email", f"{user}@localhost")
    parser = get_parser()
    for command in (
        ("db", "migrate"),
        ("users", "create", "--role", "Admin", *account, *names),
        ("users", "reset-password", *account),  # the account may be older; .env decides
        ("pools", "set", "gpu", os.environ["GPU_SLOTS"], "Networks trained at the same time"),
    ):
        arguments = parser.parse_args(command)
        arguments.func(arguments)


if __name__ == "__main__":
    main()
