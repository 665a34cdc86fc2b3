"""How long the trainings of a run will take, judged by the epochs so far."""

import re
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
_EPOCH = re.compile(r"epoch +(\d+)/(\d+)  validation")


@dataclass
class _Training:
    """A family's task: its networks are trained one after the other."""

    costs: tuple[float, ...]
    index: int = 0
    """Which network is being trained."""
    epoch: int = 0
    done: float = 0.0
    """Cost of what is done."""
    first: tuple[float, float] | None = None
    """When an epoch first ended, and the cost done by then: what came before was not training."""
    rate: float = 0.0
    """Cost per second; 0 before the second epoch."""

    def note(self, epoch: int, epochs: int, *, now_s: float) -> None:
        """Take account of an epoch that has ended."""
        if epoch <= self.epoch and self.index + 1 < len(self.costs):
            self.index += 1
        self.epoch = epoch
        self.done = sum(self.costs[: self.index]) + self.costs[self.index] * epoch / epochs
        if self.first is None:
            self.first = (now_s, self.done)
        elif now_s > self.first[0]:
            self.rate = (self.done - self.first[1]) / (now_s - self.first[0])


class RunEstimate:
    """How long the trainings of a run will take at most: early stopping may end them sooner."""

    def __init__(self, config: RunConfig, *, slots: int) -> None:
        """Keep the networks of a run, and how many tasks train at once."""
        self._slots = slots
        self._trainings = {
            f"train_{family}": _Training(tuple(_COSTS[name] for name in config.variants(family)))
            for family in FAMILIES
            if config.variants(family)
        }

    def note_line(self, task: str, line: str, *, now_s: float) -> bool:
        """Take account of a line of a task's log; return whether an epoch has ended."""
        found = _EPOCH.search(line)
        if not found or task not in self._trainings:
            return False
        self._trainings[task].note(int(found[1]), int(found[2]), now_s=now_s)
        return True

    def note_end(self, task: str) -> None:
        """Take account of a task that has ended, however it did."""
        self._trainings.pop(task, None)

    @property
    def left_s(self) -> float | None:
        """Seconds until all trainings have ended, at most; None while nothing tells."""
        trainings = self._trainings.values()
        rates = [training.rate for training in trainings if training.rate]
        if not rates:
            return None
        mean = sum(rates) / len(rates)
        left = [(sum(one.costs) - one.done) / (one.rate or mean) for one in trainings]
        return max(max(left), sum(left) / min(self._slots, len(left)))
