"""AlexNet: Krizhevsky, Sutskever & Hinton 2012, in the single-tower form of Krizhevsky 2014.

Papers: "ImageNet Classification with Deep Convolutional Neural Networks" (NIPS 25) and "One weird
trick for parallelizing convolutional neural networks" (arXiv:1404.5997). Convolutions of 64, 192,
384, 256 and 256 filters, as in torchvision's single tower, overlapping max pooling, two dense
layers of 4096 with dropout 0.5: 61,100,840 parameters for 224 px and 1000 classes.

Deviations:
- No local response normalisation. It has no parameters, and later work found it to be of little
  use (Simonyan & Zisserman 2015, section 4.1).
- He initialisation instead of N(0, 0.01), see `galaxy_tasks.networks.registry`.
- Inputs other than 224 px. The first convolution's stride is 4, the paper's, where that leaves
  feature maps of at least 3 × 3 (127 px and more), else 2 (67 px and more), else 1. Feature maps
  above 6 × 6 (255 px and more) are averaged to 6 × 6, so that no input needs larger dense layers
  than the paper's.
"""

import keras
from keras import layers

_STRIDES = (4, 2, 1)
_SMALLEST_MAP_PX = 3
_LARGEST_MAP_PX = 6
_DROPOUT = 0.5


def apply_alexnet(images: keras.KerasTensor, *, seed: int) -> keras.KerasTensor:
    """Return the 4096 features of each image, before the last dense layer.

    `images` has shape (batch, size, size, 3), standardised; `seed` is that of the dropout.
    """
    size_px = int(images.shape[1])
    stride = choose_stride(size_px)
    maps = _apply_convolution(images, 64, 11, stride=stride, padding=2, name="conv1")
    maps = layers.MaxPooling2D(3, 2, name="pool1")(maps)
    maps = _apply_convolution(maps, 192, 5, padding=2, name="conv2")
    maps = layers.MaxPooling2D(3, 2, name="pool2")(maps)
    maps = _apply_convolution(maps, 384, 3, padding=1, name="conv3")
    maps = _apply_convolution(maps, 256, 3, padding=1, name="conv4")
    maps = _apply_convolution(maps, 256, 3, padding=1, name="conv5")
    maps = layers.MaxPooling2D(3, 2, name="pool5")(maps)
    if measure_last_map_px(size_px, stride=stride) > _LARGEST_MAP_PX:
        maps = layers.AdaptiveAveragePooling2D(_LARGEST_MAP_PX, name="pool6")(maps)
    features = layers.Flatten(name="flatten")(maps)
    for number in (6, 7):
        features = layers.Dropout(_DROPOUT, seed=seed + number, name=f"dropout{number}")(features)
        features = layers.Dense(4096, activation="relu", name=f"dense{number}")(features)
    return features


def choose_stride(size_px: int) -> int:
    """Return the first convolution's stride for an input of this side: 4 (the paper's), 2 or 1."""
    for stride in _STRIDES:
        if measure_last_map_px(size_px, stride=stride) >= _SMALLEST_MAP_PX:
            return stride
    return _STRIDES[-1]


def measure_last_map_px(size_px: int, *, stride: int) -> int:
    """Return the side of the feature maps after the last pooling, in pixels; 6 for 224 and 4."""
    side_px = (size_px + 2 * 2 - 11) // stride + 1
    for _ in range(3):
        side_px = (side_px - 3) // 2 + 1
    return side_px


def _apply_convolution(
    maps: keras.KerasTensor,
    filters: int,
    kernel_px: int,
    *,
    padding: int,
    name: str,
    stride: int = 1,
) -> keras.KerasTensor:
    maps = layers.ZeroPadding2D(padding, name=f"{name}_padding")(maps)
    return layers.Conv2D(filters, kernel_px, stride, activation="relu", name=name)(maps)
