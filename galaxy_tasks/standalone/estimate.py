"""How long the trainings of a run will take, judged by the epochs so far."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from galaxy_tasks.config import FAMILIES, Architecture, RunConfig

_COSTS: dict[Architecture, float] = {
    "alexnet": 0.71,
    "resnet18": 1.81,
    "resnet34": 3.66,
    "resnet50": 4.09,
    "resnet101": 7.80,
    "resnet152": 11.51,
    "densenet121": 2.83,
    "densenet169": 3.36,
    "densenet201": 4.29,
}
"""Multiply-adds for an image of 224 px, in 10^9, as torchvision's documentation has them. Networks
that have not begun are compared by them with those that have."""
_START = re.compile(r"Training (\w+): ")
_EPOCH = re.compile(r"epoch +(\d+)/(\d+)  validation")


@dataclass
class _Training:
    """A family's task: its networks are trained one after the other."""

    costs: Mapping[str, float]
    before: float = 0.0
    """Cost of the networks before the one that is trained, which are done or have failed."""
    current: float = 0.0
    done: float = 0.0
    """Cost of what is done."""
    first: tuple[float, float] | None = None
    """When its first epoch ended, and the cost done by then: what came before was not training."""
    rate: float = 0.0
    """Cost per second; 0 before the second epoch."""

    def start(self, architecture: str) -> None:
        """Take account of a network that is trained from now on."""
        names = list(self.costs)
        self.before = sum(self.costs[name] for name in names[: names.index(architecture)])
        self.current, self.first = self.costs[architecture], None

    def note(self, epoch: int, epochs: int, *, now_s: float) -> None:
        """Take account of an epoch that has ended."""
        self.done = self.before + self.current * epoch / epochs
        if self.first is None:
            self.first = (now_s, self.done)
        elif now_s > self.first[0]:
            self.rate = (self.done - self.first[1]) / (now_s - self.first[0])


class RunEstimate:
    """How long the trainings of a run will take at most: early stopping may end them sooner."""

    def __init__(self, config: RunConfig, *, slots: int) -> None:
        """Keep the networks of a run, and how many tasks train at once."""
        self._slots = slots
        self._ended: set[str] = set()
        self._trainings = {
            f"train_{family}[{number}]" if config.repeats > 1 else f"train_{family}": _Training(
                {name: _COSTS[name] for name in config.variants(family)}
            )
            for family in FAMILIES
            for number in range(config.repeats)
            if config.variants(family)
        }

    def note_line(self, task: str, line: str, *, now_s: float) -> bool:
        """Take account of a line of a task's log; return whether an epoch has ended.

        A training that is repeated is named as Airflow names it, `train_resnet[0]`.
        """
        training = self._trainings.get(task)
        if training is None:
            return False
        if (started := _START.search(line)) and started[1] in training.costs:
            training.start(started[1])
        if ended := _EPOCH.search(line):
            training.note(int(ended[1]), int(ended[2]), now_s=now_s)
        return ended is not None

    def note_end(self, task: str) -> None:
        """Take account of a task that has ended, however it did."""
        self._ended.add(task)

    @property
    def left_s(self) -> float | None:
        """Seconds until all trainings have ended, at most; None while nothing tells, and after."""
        rates = [training.rate for training in self._trainings.values() if training.rate]
        trainings = [one for task, one in self._trainings.items() if task not in self._ended]
        if not rates or not trainings:
            return None
        mean = sum(rates) / len(rates)
        left = [(sum(one.costs.values()) - one.done) / (one.rate or mean) for one in trainings]
        return max(max(left), sum(left) / min(self._slots, len(left)))
