"""Promotes versions back and forth in processes that are killed, and looks at what they leave.

Usage: promoter.py NAME ROUNDS SEED. What loads slowly is loaded once, before the forks.
"""

import os
import random
import signal
import sys
import time

import mlflow  # noqa: F401

from galaxy_tasks.registry import champions, models
from galaxy_tasks.registry.store import open_store
from galaxy_tasks.training.saved_model import require_model

LONGEST_S = 0.5
"""In this time some promotions and rollbacks are done."""


def promote_and_roll_back(name: str, begun: int) -> None:
    with open_store() as client:
        first, *others = reversed(models.list_versions(client, name))
        os.close(begun)
        while True:
            for version in others:
                champions.promote(client, version, reason="to and fro")
            while champions.read_line(client, name).number != first.number:
                champions.roll_back(client, name)


def look(name: str) -> None:
    """Print the champion; fail unless there is one, and its model is whole."""
    with open_store() as client:
        champion = champions.find_champion(client, name)
        assert champion is not None
        require_model(champion.model.path)
        way_back = [one.number for one in champions.walk_champions(client, name)]
        assert way_back[-1] == 1, "the way back to the first is lost"
        assert len(way_back) == len(champions.read_line(client, name).way_back)
        assert client.get_registered_model(name).aliases["champion"] == champion.number
    print(champion.number, flush=True)


def fork(task, *arguments: object) -> int:
    """Run a task in a child process and return its id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            task(*arguments)
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    return child


def main(name: str, rounds: int, seed: int) -> None:
    random.seed(seed)
    for _ in range(rounds):
        reading, begun = os.pipe()
        child = fork(promote_and_roll_back, name, begun)
        os.close(begun)
        os.read(reading, 1)  # ends when the child closes its end
        os.close(reading)
        time.sleep(random.uniform(0, LONGEST_S))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL, "it ended by itself"
        _, status = os.waitpid(fork(look, name), 0)
        assert status == 0, "no whole champion was left"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
