"""How loggers are set up: one line a record, with its level in front where that is not INFO.

A step runs in a process of its own, and the label job inside Spark. Both write to standard output,
whose lines Airflow's task takes over; the level in front lets it log each line at that level.
"""

import logging
import re
import sys

_LEVELS = ("DEBUG", "WARNING", "ERROR", "CRITICAL")
_LEVEL_IN_FRONT = re.compile(rf"({'|'.join(_LEVELS)}): ")


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno == logging.INFO else f"{record.levelname}: {text}"


def set_up_logging() -> None:
    """Write this package's records, from INFO up, to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_LineFormatter())
    logger = logging.getLogger("galaxy_tasks")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def relog(line: str, logger: logging.Logger) -> None:
    """Log a line of a step's output at the level that stands in front of it, else at INFO."""
    found = _LEVEL_IN_FRONT.match(line)
    if found:
        logger.log(logging.getLevelNamesMapping()[found[1]], line[found.end() :])
    else:
        logger.info(line)
