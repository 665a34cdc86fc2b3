"""Networks are those of their papers, and train."""

import ast
import math
from pathlib import Path

import keras
import numpy as np
import pytest
from fixtures.model_inputs import KERAS_MARKS, apply, draw_batch

from galaxy_tasks.config import ARCHITECTURES
from galaxy_tasks.errors import InputError
from galaxy_tasks.networks import alexnet, registry
from galaxy_tasks.networks.registry import build_model

pytestmark = KERAS_MARKS


# Parameters at 224 px and 1000 classes: all that Keras documents for its own, and those that are
# trained, without the idle biases in front of batch normalisation, as the papers' networks have.
PARAMETERS = {
    "alexnet": (61_100_840, 61_100_840),
    "resnet18": (11_699_112, 11_689_512),
    "resnet34": (21_814_696, 21_797_672),
    "resnet50": (25_636_712, 25_557_032),
    "resnet101": (44_707_176, 44_549_160),
    "resnet152": (60_419_944, 60_192_808),
    "densenet121": (8_062_504, 7_978_856),
    "densenet169": (14_307_880, 14_149_480),
    "densenet201": (20_242_984, 20_013_928),
}


def count_idle_biases(model: keras.Model) -> int:
    has_norm = any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    return sum(
        layer.filters
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.use_bias and has_norm
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parameters_are_as_many_as_in_the_paper(architecture):
    model = build_model(architecture, image_size_px=224, num_classes=1000, seed=1)
    trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    received = (model.count_params(), trained - count_idle_biases(model))
    assert received == PARAMETERS[architecture]


@pytest.mark.parametrize("architecture", ["alexnet", "resnet18"])
def test_output_is_finite_logits_not_probabilities(architecture):
    model = build_model(architecture, image_size_px=64, num_classes=5, seed=1)
    logits = apply(model, draw_batch())
    assert model.input.name == "images"
    assert logits.shape == (4, 5)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    assert logits.min() < 0
    assert not np.allclose(logits.sum(axis=1), 1)


@pytest.mark.parametrize("architecture", ["alexnet", "resnet18"])
def test_mixed_precision_still_gives_float32_logits(architecture):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_model(architecture, image_size_px=64, num_classes=5, seed=1)
    finally:
        keras.config.set_dtype_policy(before)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert {layer.compute_dtype for layer in convolutions} == {"bfloat16"}
    assert {layer.variable_dtype for layer in convolutions} == {"float32"}
    assert model.get_layer("normalise").compute_dtype == "float32"
    assert apply(model, draw_batch()).dtype == np.float32


# AlexNet's loss is measured without its dropout, whose noise is larger than what a step gains;
# ResNet's with the batch's statistics, as four steps do not settle the moving ones.
@pytest.mark.parametrize(
    ("architecture", "learning_rate", "training"),
    [("alexnet", 1e-6, False), ("resnet18", 1e-4, True)],
)
def test_training_steps_reduce_the_loss_from_that_of_guessing(
    architecture, learning_rate, training
):
    keras.utils.set_random_seed(1)
    model = build_model(architecture, image_size_px=64, num_classes=2, seed=1)
    images = draw_batch(count=8)
    labels = np.arange(8) % 2
    images[labels == 1, 20:44, 20:44] += 0.5  # one class has a bright middle
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(learning_rate), loss, run_eagerly=True)
    before = float(loss(labels, apply(model, images, training=training)))
    for _ in range(4):
        model.train_on_batch(images, labels)
    after = float(loss(labels, apply(model, images, training=training)))
    assert before == pytest.approx(math.log(2), abs=0.25)
    assert after < 0.95 * before


def test_initial_weights_follow_from_the_seed_alone():
    def build(*, seed: int, global_seed: int) -> list[np.ndarray]:
        keras.utils.set_random_seed(global_seed)
        return build_model("resnet18", image_size_px=32, num_classes=3, seed=seed).get_weights()

    first = build(seed=5, global_seed=1)
    same = build(seed=5, global_seed=2)
    other = build(seed=6, global_seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_layers_of_one_shape_start_from_different_weights_of_he_s_spread():
    model = build_model("resnet18", image_size_px=32, num_classes=3, seed=5)
    first, second = (model.get_layer(name).kernel.numpy() for name in ("conv2_1_a", "conv2_1_b"))
    assert not np.array_equal(first, second)
    assert first.std() == pytest.approx(math.sqrt(2 / (3 * 3 * 64)), rel=0.03)


# Sides of the feature maps by hand: ((size + 4 - 11) // stride + 1), then three times
# ((side - 3) // 2 + 1). For 224: 55, 27, 13, 6. For 80: 37, 18, 8, 3.
@pytest.mark.parametrize(
    ("size_px", "stride", "flat"),
    [
        (32, 1, 2 * 2 * 256),
        (64, 1, 6 * 6 * 256),
        (66, 1, 6 * 6 * 256),
        (67, 2, 3 * 3 * 256),
        (80, 2, 3 * 3 * 256),
        (112, 2, 5 * 5 * 256),
        (126, 2, 6 * 6 * 256),
        (127, 4, 3 * 3 * 256),
        (224, 4, 6 * 6 * 256),
        (255, 4, 6 * 6 * 256),
        (512, 4, 6 * 6 * 256),
    ],
)
def test_alexnet_keeps_its_feature_maps_in_bounds(size_px, stride, flat):
    images = keras.Input((size_px, size_px, 3))
    model = keras.Model(images, alexnet.apply_alexnet(images, seed=1))
    assert model.get_layer("conv1").strides == (stride, stride)
    assert model.get_layer("flatten").output.shape == (None, flat)
    assert model.output.shape == (None, 4096)


@pytest.mark.parametrize(("size_px", "has_pool"), [(254, False), (255, True)])
def test_alexnet_averages_only_maps_above_the_papers(size_px, has_pool):
    images = keras.Input((size_px, size_px, 3))
    model = keras.Model(images, alexnet.apply_alexnet(images, seed=1))
    assert ("pool6" in {layer.name for layer in model.layers}) == has_pool


@pytest.mark.parametrize(
    ("architecture", "size_px"),
    [("resnet18", 32), ("resnet34", 80), ("resnet50", 32), ("densenet121", 32), ("alexnet", 288)],
)
def test_sizes_other_than_the_papers_work(architecture, size_px):
    model = build_model(architecture, image_size_px=size_px, num_classes=3, seed=1)
    logits = apply(model, draw_batch(size_px=size_px, count=2), training=True)
    assert logits.shape == (2, 3)
    assert np.isfinite(logits).all()


def test_strided_convolutions_of_resnet18_are_centred():
    model = build_model("resnet18", image_size_px=32, num_classes=3, seed=1)
    shapes = [model.get_layer(f"conv{stage}_1_relu").output.shape[1:] for stage in (2, 3, 4, 5)]
    assert shapes == [(8, 8, 64), (4, 4, 128), (2, 2, 256), (1, 1, 512)]
    stem = keras.Model(model.input, model.get_layer("conv1").output)
    impulse = np.full((1, 32, 32, 3), registry._GALAXY_MEAN, "float32")
    impulse[0, 16, 16] = 1  # stride 2 and 3 px of padding: output 8 looks at 13 to 19
    response = np.abs(apply(stem, impulse)[0]).sum(axis=-1) > 1e-3
    assert response[7:10, 7:10].all()
    assert response.sum() == 9


def test_moving_statistics_follow_within_an_epoch_of_a_small_catalogue():
    for architecture in ("resnet18", "densenet121"):
        model = build_model(architecture, image_size_px=32, num_classes=3, seed=1)
        norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
        assert {norm.momentum for norm in norms} == {0.9}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"architecture": "vgg16"}, "Expected one of: alexnet.*Received: 'vgg16'"),
        ({"image_size_px": 31}, "at least 32. Received: 31"),
        ({"num_classes": 1}, "at least two classes. Received: 1"),
        ({"weights": "places"}, "'none' or 'imagenet'. Received: 'places'"),
    ],
)
def test_wrong_arguments_are_named(changed, message):
    arguments = {"architecture": "resnet18", "image_size_px": 64, "num_classes": 5, "seed": 1}
    with pytest.raises(InputError, match=message):
        build_model(**(arguments | changed))


def test_networks_import_no_framework_but_keras():
    imported = set()
    for path in Path(registry.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
    assert "keras" in imported
    assert imported.isdisjoint({"tensorflow", "jax", "torch"})
