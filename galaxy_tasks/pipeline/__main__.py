"""Runs one step: `python -m galaxy_tasks.pipeline STEP --arguments FILE --result FILE`.

Arguments and result are JSON files. `process.run_step` starts this.
"""

import argparse
from pathlib import Path

from galaxy_tasks.logs import set_up_logging
from galaxy_tasks.pipeline import steps
from galaxy_tasks.pipeline.process import end_with_input, write_result
from galaxy_tasks.storage.atomic_io import read_json


def main() -> None:
    """Run the step that the command line names, and write its result or its error."""
    parser = argparse.ArgumentParser(prog="galaxy_tasks.pipeline")
    parser.add_argument("step")
    parser.add_argument("--arguments", type=Path, required=True)
    parser.add_argument("--result", type=Path, required=True)
    options = parser.parse_args()
    set_up_logging()
    end_with_input()
    write_result(options.result, lambda: steps.run(options.step, read_json(options.arguments)))


if __name__ == "__main__":
    main()
