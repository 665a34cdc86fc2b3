"""What keeps this Airflow on the machine it runs on."""

import socket

HOST = "127.0.0.1"


def hostname() -> str:
    """Return the name under which tasks are known: Airflow's `hostname_callable`.

    The web page asks this host for the log of a running task; the log server listens on loopback
    only.
    """
    return HOST


def find_free_port(preferred: int) -> int:
    """Return the preferred port if nothing listens on it, else one that the system chooses."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise OSError("No free port on 127.0.0.1.")
