"""Runs one step: `python -m galaxy_tasks.pipeline STEP --arguments FILE --result FILE`.

Arguments and result are JSON files. `process.run_step` starts this.
"""

import argparse
import sys
from pathlib import Path

from galaxy_tasks.errors import GalaxyMorphologyError
from galaxy_tasks.logs import set_up_logging
from galaxy_tasks.pipeline import steps
from galaxy_tasks.pipeline.process import end_with_input
from galaxy_tasks.storage.atomic_io import read_json, write_json


def main() -> None:
    """Run the step that the command line names, and write its result or its error."""
    parser = argparse.ArgumentParser(prog="galaxy_tasks.pipeline")
    parser.add_argument("step")
    parser.add_argument("--arguments", type=Path, required=True)
    parser.add_argument("--result", type=Path, required=True)
    options = parser.parse_args()
    set_up_logging()
    end_with_input()
    try:
        answer = {"result": steps.run(options.step, read_json(options.arguments))}
    except GalaxyMorphologyError as error:
        write_json(options.result, {"error": str(error)})
        print(f"ERROR: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    write_json(options.result, answer)


if __name__ == "__main__":
    main()
