"""A model as a file for other programs, each checked against Keras on the same prepared images.

Input and outputs are those of `prediction.export` in every format. Orientations are not averaged in
it, nor are probabilities calibrated.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.errors import InputError
from galaxy_tasks.pipeline.export_champion import (
    NETWORK,
    Check,
    check_network,
    find_prepared,
    open_export,
)
from galaxy_tasks.prediction.engines import Outputs, RunNetwork, Way, open_network
from galaxy_tasks.training.model_record import read_record

Format = Literal["onnx", "openvino", "keras", "saved_model"]
FORMATS: tuple[Format, ...] = get_args(Format)
_SUFFIXES: Mapping[Format, str] = {"onnx": ".onnx", "openvino": ".xml", "keras": ".keras"}


def export_file(model: Path, kind: Format, output: Path) -> Check:
    """Write the model in a folder in a format; return how it compares with Keras.

    Args:
        model: folder of a trained model.
        kind: 'openvino' writes two files, of which the other ends in .bin; 'saved_model' a folder.
        output: the file or folder, which must not exist.

    Raises:
        InputError: the output exists or has another suffix, the model is no whole one, or the
            images for the check are gone.
    """
    suffix = _SUFFIXES.get(kind, "")
    if output.suffix.lower() != suffix and kind != "saved_model":
        raise InputError(f"--output must end in {suffix} for {kind}. Received: {output}")
    if output.exists():
        raise InputError(f"--output exists already: {output}. Remove it, or name another.")
    export = open_export(model).path
    galaxies = find_prepared(model)
    if galaxies is None:
        raise InputError(f"The prepared images of {model} are gone: nothing to check with.")
    run = _WRITERS[kind](model, export, output)
    return check_network(kind, run, export, galaxies)


def _write_onnx(_: Path, export: Path, output: Path) -> RunNetwork:
    shutil.copyfile(export / NETWORK, output)
    return open_network(Way("onnxruntime", "float32"), output)


def _write_openvino(_: Path, export: Path, output: Path) -> RunNetwork:
    import openvino

    network = openvino.Core().read_model(export / NETWORK)
    openvino.save_model(network, output, compress_to_fp16=False)
    return open_network(Way("openvino", "float32"), output)


def _write_keras(model: Path, _: Path, output: Path) -> RunNetwork:
    served = _serve(model)
    served.save(output)
    import keras

    loaded: Any = keras.saving.load_model(output)
    return _unpack(loaded.predict_on_batch)


def _write_saved_model(model: Path, _: Path, output: Path) -> RunNetwork:
    served = _serve(model)
    served.export(output, format="tf_saved_model", verbose=False)
    import tensorflow as tf

    loaded: Any = tf.saved_model.load(str(output))
    return _unpack(lambda images: loaded.serve(images))  # which keeps its variables alive


_WRITERS: Mapping[Format, Callable[[Path, Path, Path], RunNetwork]] = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "keras": _write_keras,
    "saved_model": _write_saved_model,
}


def _serve(model: Path) -> Any:
    from galaxy_tasks.prediction.export import build_served
    from galaxy_tasks.training.device import set_up_device
    from galaxy_tasks.training.saved_model import load_classifier

    set_up_device(read_record(model).config)
    return build_served(load_classifier(model))


def _unpack(serve: Callable[[Any], Mapping[str, Any]]) -> RunNetwork:
    def run(images: NDArray[np.uint8]) -> Outputs:
        found = serve(images)
        return np.asarray(found["logits"]), np.asarray(found["features"])

    return run
