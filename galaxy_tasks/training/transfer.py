"""Starts a network from a trained one: its weights, and how fast each layer departs from them.

Layers near the image see edges and spots, which most tasks share, and those near the end what only
theirs needs (Yosinski et al. 2014, arXiv:1411.1792). So layers may learn at rates of their own,
graded from the first to the last (Howard & Ruder 2018, arXiv:1801.06146).
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from galaxy_tasks.errors import InputError
from galaxy_tasks.training.model_record import read_record
from galaxy_tasks.training.saved_model import load_classifier
from galaxy_tasks.training.vote_head import VoteHead, read_vote_head

_LAST = "logits"
_logger = logging.getLogger(__name__)


def copy_weights(
    folder: Path, model: keras.Model, *, classes: Sequence[str], votes: VoteHead | None = None
) -> None:
    """Give a classifier the weights of the trained one in a folder, of the same architecture.

    The last layer keeps its own, drawn by the seed, unless the outputs of both mean the same.

    Raises:
        InputError: the folder holds no such model, or a layer has another shape.
    """
    theirs, their_votes = load_classifier(folder), read_vote_head(folder)
    are_same = (
        votes.questions == their_votes.questions
        if votes and their_votes
        else (votes or their_votes) is None and read_record(folder).classes == tuple(classes)
    )
    for own, other in zip(_layers(model), _layers(theirs), strict=True):
        if own.name == _LAST and not are_same:
            continue
        try:
            own.set_weights(other.get_weights())
        except ValueError as error:
            raise InputError(
                f"The layer {own.name} of the model in {folder} does not fit this run: {error}"
            ) from None
    outputs = "are the same" if are_same else "differ, so the last layer is new"
    _logger.info("Starting from the weights of %s; its classes or answers %s.", folder, outputs)


def make_optimizer(
    model: keras.Model, rate: Any, *, weight_decay: float, trunk_rate: float
) -> keras.optimizers.AdamW:
    """Return AdamW for a model; a `trunk_rate` of 0 freezes a classifier up to its last layer.

    Between 0 and 1, layer k of n, counted from 0, learns at trunk_rate ** (1 - k / (n - 1)) of the
    rate, and weight decay is the last layer's alone: it would pull the others towards zero faster
    than they learn.
    """
    optimizer, slowed = keras.optimizers.AdamW(rate, weight_decay=weight_decay), []
    if trunk_rate < 1:
        *trunk, _ = layers = [layer for layer in _layers(model) if layer.trainable_variables]
        slowed = [variable for layer in trunk for variable in layer.trainable_variables]
        if trunk_rate > 0:
            shares = [
                trunk_rate ** (1 - place / len(trunk))
                for place, layer in enumerate(layers)
                for _ in layer.trainable_variables
            ]
            optimizer = GradedAdamW(rate, weight_decay=weight_decay, shares=shares)
        else:
            for layer in trunk:
                layer.trainable = False
    # Biases and the parameters of normalisation have no scale to shrink.
    unshrunk = ["bias", "gamma", "beta"]
    optimizer.exclude_from_weight_decay(var_list=slowed, var_names=unshrunk)
    return optimizer


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a classifier's network, from the image to the logits."""
    return model.get_layer(model.name).layers


class GradedAdamW(keras.optimizers.AdamW):
    """AdamW with a share of the learning rate for each variable, in the order of the model's."""

    def __init__(self, rate: Any, *, shares: Sequence[float], **options: Any) -> None:
        """Take the shares; the rest is as AdamW has it."""
        super().__init__(rate, **options)
        self._shares = tuple(shares)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable at its share of the rate."""
        share = self._shares[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * share)
