"""What a network costs: the multiply-adds that it needs for one image."""

import math

import keras


def count_multiply_adds(model: keras.Model) -> int:
    """Return the multiply-adds of convolutions and dense layers for one image.

    As usual, what normalisation, activations and pooling add, a percent or so, is left out, and so
    are the layers before the network, which scale and augment. Counts of the paper's networks at
    224 px: https://docs.pytorch.org/vision/stable/models.html (there named GFLOPS).
    """
    return sum(
        count_multiply_adds(layer) if isinstance(layer, keras.Model) else _count(layer)
        for layer in model.layers
    )


def _count(layer: keras.layers.Layer) -> int:
    """Return a layer's own: each kernel weight is used once at each place of the output."""
    if not isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
        return 0
    output: keras.KerasTensor = layer.output  # pyright: ignore[reportAssignmentType]
    return math.prod(output.shape[1:-1]) * math.prod(layer.kernel.shape)
