"""How loggers are set up: one line a record, with its level in front where that is not INFO.

A step runs in a process of its own, and the label job inside Spark. Both write to standard output,
and the task that started them logs each line again, at the level that stands in front of it. The
processes of Airflow have handlers of their own: `set_up_logging` is not for them.
"""

import contextlib
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator

# What TensorFlow and Java print while they load, before any log level applies. It would begin the
# log of every training, and of every label job.
_NOISE = re.compile(
    r"I0000 \S+ +\d+ \S+\.cc:\d+\] |WARNING: All log messages before absl::"
    r"|WARNING: Using incubator modules:|To enable the following instructions: "
)
_STANDARD_ERROR = 2
_LAST_LINE = b"\0\n"
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


@contextlib.contextmanager
def without_noise() -> Iterator[None]:
    """Leave out of the standard error what libraries print while they load."""
    reading, writing = os.pipe()
    usual = os.dup(_STANDARD_ERROR)
    os.dup2(writing, _STANDARD_ERROR)
    os.close(writing)

    def pass_on() -> None:
        with os.fdopen(reading, "rb") as lines:
            for line in lines:
                if line == _LAST_LINE:
                    break
                if not _NOISE.match(line.decode(errors="replace")):
                    os.write(usual, line)

    thread = threading.Thread(target=pass_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        # A process that was started meanwhile may hold the pipe open for as long as this one lives.
        os.write(_STANDARD_ERROR, _LAST_LINE)
        os.dup2(usual, _STANDARD_ERROR)
        thread.join()
        os.close(usual)
