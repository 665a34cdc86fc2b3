"""What a user would write to classify a folder of images with a Keras model: the other contender.

    python benchmarks/plain_prediction.py MODEL.keras FOLDER OUT.csv --orientations 8

Images are decoded in parallel by tf.data, cut to the central half, scaled, and classified in eight
orientations, whose probabilities are averaged.
"""

import argparse
import csv
from pathlib import Path
from typing import Any


def main() -> None:
    """Classify the folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--orientations", type=int, default=8)
    asked = parser.parse_args()
    import keras
    import tensorflow as tf

    model: Any = keras.saving.load_model(asked.model)
    size_px = model.input_shape[1]
    paths = sorted(map(str, asked.folder.glob("*.jpg")))

    def read(path):
        image = tf.image.decode_jpeg(tf.io.read_file(path), channels=3)
        image = tf.image.central_crop(image, 0.5)
        image = tf.image.resize(image, (size_px, size_px), method="area")
        return tf.cast(tf.round(image), tf.uint8)

    images = tf.data.Dataset.from_tensor_slices(paths)
    images = images.map(read, num_parallel_calls=tf.data.AUTOTUNE).batch(64)
    with asked.output.open("w", newline="") as file:
        writer = csv.writer(file)
        rows = iter(paths)
        for batch in images.prefetch(tf.data.AUTOTUNE):
            probabilities: Any = 0
            for turn in range(asked.orientations):
                turned = tf.image.rot90(batch if turn < 4 else batch[:, :, ::-1], turn % 4)
                logits = model.predict_on_batch(turned)["logits"]
                probabilities += tf.nn.softmax(logits).numpy() / asked.orientations
            writer.writerows([next(rows), *values] for values in probabilities.tolist())


if __name__ == "__main__":
    main()
