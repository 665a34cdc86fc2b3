"""Heat maps show what speaks for a class, and only that."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

from galaxy_tasks.config import RunConfig
from galaxy_tasks.networks.classifier import build_classifier
from galaxy_tasks.training.grad_cam import draw_heat_maps


def build_known_model() -> keras.Model:
    """Red light speaks for class 0 and against class 1; green light for class 1."""
    pixels = keras.Input((16, 16, 3))
    maps = layers.Conv2D(2, 1, use_bias=False, name="maps")(pixels)
    features = layers.GlobalAveragePooling2D()(maps)
    network = keras.Model(pixels, layers.Dense(2, use_bias=False, name="logits")(features))
    network.get_layer("maps").set_weights([np.array([[[[1, 0], [0, 1], [0, 0]]]], np.float32)])
    network.get_layer("logits").set_weights([np.array([[1, -1], [0, 1]], np.float32)])
    cutouts = keras.Input((16, 16, 3), dtype="uint8")
    return keras.Model(cutouts, network(layers.Rescaling(1 / 255)(cutouts)))


def check_known_model() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[3, 4] = (200, 0, 0)
    image[9, 9] = (100, 0, 0)
    image[12, 2] = (0, 50, 0)
    image[0, 0] = (0, 0, 255)
    nothing_for_it = image * np.array([1, 0, 1], np.uint8)
    images = np.stack([image, image, nothing_for_it])
    maps = draw_heat_maps(build_known_model(), images, np.array([0, 1, 1]))

    assert maps.dtype == np.uint8
    assert maps.shape == (3, 16, 16)
    assert {place: maps[0][place] for place in zip(*np.nonzero(maps[0]), strict=True)} == {
        (3, 4): 255,
        (9, 9): 128,
    }
    assert list(zip(*np.nonzero(maps[1]), strict=True)) == [(12, 2)]
    assert not maps[2].any()


def test_light_that_speaks_for_the_class_is_found_where_it_is():
    check_known_model()


def test_jax_finds_the_same():
    program = f"import runpy; runpy.run_path({__file__!r})['check_known_model']()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("side_px", [32, 80])
@pytest.mark.parametrize("architecture", ["alexnet", "resnet18", "resnet50", "densenet121"])
def test_each_network_has_maps_that_show_a_place(architecture, side_px):
    config = RunConfig(image_size_px=side_px)
    model = build_classifier(architecture, config=config, num_classes=3)
    images = np.random.default_rng(1).integers(0, 256, (1, side_px, side_px, 3)).astype(np.uint8)
    maps = draw_heat_maps(model, np.repeat(images, 3, axis=0), np.arange(3))
    assert maps.shape == (3, side_px, side_px)
    shown = maps[maps.any(axis=(1, 2))]  # of three classes, some have nothing that speaks for them
    assert len(shown)
    assert all(one.max() == 255 and one.min() < 128 for one in shown)
