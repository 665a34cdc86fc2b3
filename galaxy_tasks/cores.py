"""How many processor cores there are to use."""

import os


def count_cores() -> int:
    """Return the number of cores that this process may use; of the machine, where none is told."""
    has_affinity = hasattr(os, "sched_getaffinity")  # macOS has not
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
