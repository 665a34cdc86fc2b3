"""Random orientation of galaxies inside the compiled model, in Keras operations only.

A galaxy has no up, so any rotation or mirror image of it is as likely. Rotation, mirroring, zoom
and shift are one affine map sampled once, bilinearly: four layers in a row would blur four times.
Sampling is written with gathers because TensorFlow's own projective transform cannot be compiled
by XLA and exists on no other backend.
"""

# Keras declares what its operations return as optional, which it never is.
# pyright: reportOptionalOperand=false, reportOptionalSubscript=false, reportOperatorIssue=false

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable("galaxy_tasks")
class RandomOrientation(keras.layers.Layer):
    """Rotates, mirrors, zooms and shifts each image of a batch at random, while training.

    Input and output: (batch, size, size, 3) float, any range. What comes into view from beyond the
    edge is the image's own mirror image. Outside training the input passes unchanged.
    """

    def __init__(
        self,
        *,
        has_flips: bool,
        max_rotation_degrees: float,
        max_shift_fraction: float,
        max_zoom_fraction: float,
        seed: int,
        **options,
    ) -> None:
        """Set the ranges: degrees, share of the side, share of the scale."""
        super().__init__(**options)
        self.has_flips = has_flips
        self.max_rotation_degrees = max_rotation_degrees
        self.max_shift_fraction = max_shift_fraction
        self.max_zoom_fraction = max_zoom_fraction
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def get_config(self) -> dict:
        """Return what rebuilds the layer."""
        names = ("has_flips", "max_rotation_degrees", "max_shift_fraction", "max_zoom_fraction")
        return {**super().get_config(), **{n: getattr(self, n) for n in names}, "seed": self.seed}

    def call(self, images, training: bool = False):
        """Return the images, oriented at random when `training`."""
        if not training:
            return images
        # Coordinates need more digits than half precision has.
        oriented = sample_affine(ops.cast(images, "float32"), self._draw_maps(ops.shape(images)[0]))
        return ops.cast(oriented, images.dtype)

    def _draw_maps(self, count):
        """Return (count, 6): the rows of x_in = A x_out + b in units of half the side."""

        def uniform(limit: float):
            return keras.random.uniform((count,), -limit, limit, seed=self.generator)

        angle = uniform(math.radians(self.max_rotation_degrees))
        if self.has_flips:
            mirror = ops.where(uniform(1.0) < 0, -1.0, 1.0)
            angle = angle + ops.floor(uniform(2.0)) * (math.pi / 2)
        else:
            mirror = ops.ones((count,))
        scale = ops.exp(uniform(math.log1p(self.max_zoom_fraction)))
        cosine, sine = scale * ops.cos(angle), scale * ops.sin(angle)
        shift_x, shift_y = (
            uniform(2 * self.max_shift_fraction),
            uniform(2 * self.max_shift_fraction),
        )
        return ops.stack([cosine * mirror, -sine, shift_x, sine * mirror, cosine, shift_y], axis=-1)


def sample_affine(images, maps):
    """Return images resampled bilinearly through affine maps, mirrored at the edges.

    Args:
        images: (batch, size, size, channels) float32.
        maps: (batch, 6), rows (a, b, c, d, e, f) of x_in = a x + b y + c, y_in = d x + e y + f,
            coordinates from the image's centre in units of half its side, y downwards.
    """
    size = images.shape[1]
    axis = (ops.arange(size, dtype="float32") + 0.5) * (2.0 / size) - 1.0
    x = ops.reshape(axis, (1, 1, size))
    y = ops.reshape(axis, (1, size, 1))
    coefficients = ops.reshape(maps, (-1, 6, 1, 1))
    a, b, c, d, e, f = (coefficients[:, index] for index in range(6))
    column = _reflect((a * x + b * y + c + 1.0) * (size / 2) - 0.5, size)
    row = _reflect((d * x + e * y + f + 1.0) * (size / 2) - 0.5, size)
    left, top = ops.floor(column), ops.floor(row)
    right_share, bottom_share = (column - left)[..., None], (row - top)[..., None]

    channels = images.shape[3]
    flat = ops.reshape(images, (-1, channels))
    first_of_image = ops.reshape(ops.arange(ops.shape(images)[0]) * (size * size), (-1, 1, 1))

    def pixel(row_index, column_index):
        index = ops.clip(row_index, 0, size - 1) * size + ops.clip(column_index, 0, size - 1)
        return ops.take(flat, first_of_image + ops.cast(index, "int32"), axis=0)

    upper = pixel(top, left) * (1 - right_share) + pixel(top, left + 1) * right_share
    lower = pixel(top + 1, left) * (1 - right_share) + pixel(top + 1, left + 1) * right_share
    return upper * (1 - bottom_share) + lower * bottom_share


def _reflect(coordinate, size: int):
    """Fold pixel coordinates back into [0, size - 1] as if mirrors stood at the edges."""
    period = 2.0 * size
    folded = ops.mod(coordinate + 0.5, period)
    folded = ops.where(folded >= size, period - folded, folded)
    return ops.clip(folded - 0.5, 0.0, float(size - 1))
