"""The steps by name.

A step's file is imported when it is called, so that none loads another's libraries: each training
would otherwise load PySpark, OpenCV and Matplotlib.

Every argument and result is JSON, small enough for an XCom. A step whose artifact is already
published returns it at once. `clean_labels` is missing here: it is a Spark application, which
publishes its artifact itself.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from galaxy_tasks.config import keras_backend
from galaxy_tasks.errors import InputError

CLEAN_LABELS = Path(__file__).with_name("clean_labels.py")
"""The Spark application of the task `clean_labels`."""
PREDICT_ON_SPARK = Path(__file__).with_name("predict_on_spark.py")
"""The Spark application of the task `predict`."""

_MODULES = {
    "pin_start": "pin_start",
    "prepare_release": "prepare_release",
    "preprocess_images": "preprocess_images",
    "predict_champion": "predict_champion",
    "train_network": "train",
    "train_planned": "ablate",
    "evaluate_ablation": "ablate",
    "train_baseline": "train_baseline",
    "evaluate": "evaluate",
    "promote": "promote",
    "describe_challenger": "promote",
    "export_champion": "export_champion",
    "export_folder": "export_champion",
    "run_prediction": "predict_catalogue",
}
"""The file that holds each step."""


def run(name: str, arguments: dict[str, Any]) -> Any:
    """Run a step by its name.

    Raises:
        InputError: there is no such step, or KERAS_BACKEND is wrong.
    """
    keras_backend()
    if name not in _MODULES:
        raise InputError(f"No step {name!r}. Steps: {', '.join(_MODULES)}")
    module = import_module(f"galaxy_tasks.pipeline.{_MODULES[name]}")
    return getattr(module, name)(**arguments)
