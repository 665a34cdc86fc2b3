"""How loggers are set up: one line a record, with its level in front where that is not INFO.

A step runs in a process of its own, and the label job inside Spark. Both write to standard output,
and the task that started them logs each line again, at the level that stands in front of it. The
processes of Airflow have handlers of their own: `set_up_logging` is not for them.
"""

import logging
import re
import sys

# What TensorFlow and Java print while they load, before any log level applies. It would begin the
# log of every training, and of every label job.
_NOISE = re.compile(
    r"I0000 \S+ +\d+ \S+\.cc:\d+\] |WARNING: All log messages before absl::"
    r"|WARNING: Using incubator modules:"
)
_LEVEL_IN_FRONT = re.compile(r"(DEBUG|WARNING|ERROR|CRITICAL): ")


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno == logging.INFO else prefix_level(text, record.levelname)


def set_up_logging() -> None:
    """Write this package's records, from INFO up, to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_LineFormatter())
    logger = logging.getLogger("galaxy_tasks")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def prefix_level(text: str, level: str) -> str:
    """Return the text with the level in front of each of its lines, as in 'WARNING: disk full'."""
    return "\n".join(f"{level}: {line}" for line in text.splitlines())


def relog(line: str, logger: logging.Logger) -> None:
    """Log a line of a step's output at the level that stands in front of it, else at INFO.

    What libraries print while they load is left out.
    """
    if _NOISE.match(line):
        return
    if found := _LEVEL_IN_FRONT.match(line):
        logger.log(logging.getLevelNamesMapping()[found[1]], "%s", line[found.end() :])
    else:
        logger.info("%s", line)
