"""The real training step beside what a user would otherwise write.

    python -m benchmarks.training [--architectures alexnet,resnet50,densenet121]
        [--image-size-px 224] [--batch-size 64] [--steps 20] [--rounds 3]

For each network, in images a second of wall time, medians over interleaved rounds:

- this project: its loader of uint8 galaxies, augmentation, forward, backward and update in the
  compiled step, on drawn galaxies;
- plain Keras: `fit` of the same network on float32 images in memory, without augmentation;
- the loader alone: what the step could take at most.

Runs on the backend that KERAS_BACKEND names, on the device that is there. The first step of each,
which compiles, is left out.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from galaxy_tasks.config import Architecture, RunConfig, parse_config
from galaxy_tasks.training.device import Device, set_up_device

NUM_CLASSES = 5


def draw_galaxies(count: int, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return smooth spots with noise, (count, size, size, 3) uint8, and labels, (count,) int64."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:size_px, :size_px] - size_px / 2
    images = np.empty((count, size_px, size_px, 3), np.uint8)
    for image in images:
        light = 200 * np.exp(-np.hypot(x, y / random.uniform(0.3, 1)) / (size_px / 8))
        noise = random.integers(0, 30, image.shape, dtype=np.uint8)
        image[:] = light[..., None].astype(np.uint8) + noise
    return images, random.permutation(np.arange(count) % NUM_CLASSES)


def measure(
    architecture: Architecture, config: RunConfig, device: Device, *, steps: int, rounds: int
) -> None:
    """Print the rates of one network and their ratios."""
    import keras

    count = steps * config.batch_size
    images, labels = draw_galaxies(count, config.image_size_px)
    contenders = {
        "this project": fit_here(architecture, config, device, images, labels),
        "plain Keras": fit_plainly(architecture, config, device, images, labels),
        "loader alone": load_only(config, images, labels),
    }
    for run in contenders.values():
        run()  # compiles
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    rates = {name: count / median(taken) for name, taken in seconds.items()}
    for name, rate in rates.items():
        slowest, fastest = count / max(seconds[name]), count / min(seconds[name])
        print(
            f"{architecture:14}{name:14}{rate:10,.1f} images/s  ({slowest:,.1f} to {fastest:,.1f})"
        )
    print(f"{architecture:14}{rates['this project'] / rates['plain Keras']:.2f} times plain Keras")
    keras.utils.clear_session()


def fit_here(
    architecture: Architecture,
    config: RunConfig,
    device: Device,
    images: np.ndarray,
    labels: np.ndarray,
) -> Callable[[], object]:
    """Return a call that trains one epoch as this project does."""
    from galaxy_tasks.networks.classifier import build_classifier
    from galaxy_tasks.training.checkpoints import TrainingState
    from galaxy_tasks.training.epoch import compile_model, schedule_learning_rate

    model = build_classifier(architecture, config=config, num_classes=NUM_CLASSES)
    compile_model(model, config=config, device=device)
    state = TrainingState(0, config.batch_size)
    schedule_learning_rate(model, config=config, state=state, num_galaxies=len(images))
    return lambda: model.fit(make_batches(config, images, labels), shuffle=False, verbose=0)  # pyright: ignore[reportArgumentType]


def fit_plainly(
    architecture: Architecture,
    config: RunConfig,
    device: Device,
    images: np.ndarray,
    labels: np.ndarray,
) -> Callable[[], object]:
    """Return a call that trains one epoch of the same network on float32 images in memory."""
    import keras

    from galaxy_tasks.networks.registry import build_model

    network = build_model(
        architecture,
        image_size_px=config.image_size_px,
        num_classes=NUM_CLASSES,
        weights=config.weights,
        seed=config.seed,
    )
    network.compile(
        optimizer=keras.optimizers.AdamW(),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=device.is_xla,  # pyright: ignore[reportArgumentType]
    )
    scaled = images.astype(np.float32) / 255
    return lambda: network.fit(scaled, labels, batch_size=config.batch_size, verbose=0)  # pyright: ignore[reportArgumentType]


def load_only(config: RunConfig, images: np.ndarray, labels: np.ndarray) -> Callable[[], object]:
    """Return a call that gathers the batches of one epoch."""

    def load() -> None:
        batches = make_batches(config, images, labels)
        for index in range(len(batches)):
            batches[index]

    return load


def make_batches(config: RunConfig, images: np.ndarray, labels: np.ndarray):
    """Return an epoch of batches, from the loader of the training."""
    from galaxy_tasks.training.dataset import EpochBatches, epoch_order
    from galaxy_tasks.training.galaxies import Galaxies

    rows = np.arange(len(images))
    return EpochBatches(
        Galaxies(images, rows, labels, rows, tuple(map(str, rows))),
        order=epoch_order(labels, seed=config.seed, epoch=0, galaxy_weights=None),
        batch_size=config.batch_size,
        num_classes=NUM_CLASSES,
        loss_weights=np.ones(NUM_CLASSES),
    )


def main() -> None:
    """Measure every network that is asked for."""
    full = RunConfig()
    parser = argparse.ArgumentParser(description="The training step, compared")
    parser.add_argument("--architectures", default=",".join(full.architectures))
    parser.add_argument("--image-size-px", type=int, default=full.image_size_px)
    parser.add_argument("--batch-size", type=int, default=full.batch_size)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    config = parse_config(
        {
            "architectures": asked.architectures.split(","),
            "image_size_px": asked.image_size_px,
            "batch_size": asked.batch_size,
        }
    )
    device = set_up_device(config)
    print(
        f"{device.describe()}; {config.image_size_px} px, batches of {config.batch_size}, "
        f"{asked.steps} steps a round, {asked.rounds} rounds"
    )
    for architecture in config.architectures:
        measure(architecture, config, device, steps=asked.steps, rounds=asked.rounds)


if __name__ == "__main__":
    main()
