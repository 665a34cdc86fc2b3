"""Trains the chosen networks of a family, each in a process of its own, and publishes them."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from galaxy_tasks.config import Architecture, Family, RunConfig, parse_config
from galaxy_tasks.errors import GalaxyMorphologyError, InputError
from galaxy_tasks.formatting import format_duration
from galaxy_tasks.pipeline.process import run_step
from galaxy_tasks.releases.morphology import is_handed
from galaxy_tasks.storage import artifacts, cache_keys
from galaxy_tasks.storage.artifacts import Artifact, Draft

if TYPE_CHECKING:
    from galaxy_tasks.training.loop import TrainedModel

_logger = logging.getLogger(__name__)
_TRAINING_TIMEOUT_S = 2 * 24 * 3600


def train_networks(
    family: Family, settings: dict[str, Any], images: dict[str, Any], *, seed: int
) -> dict[str, Any]:
    """Return {"seed", "models": [references], "failed": {architecture: error}} of the networks.

    `seed` is one of the run's training seeds.

    Each trains in a process of its own, because seeds, precision and GPU memory belong to a
    process. One that fails does not keep the others from training; then, if another try may help
    or none succeeded, its error is raised, and the next try finds the others finished.
    """
    models, failed = [], {}
    errors: list[Exception] = []
    for architecture in parse_config(settings).variants(family):
        try:
            reference = run_step(
                "train_network",
                settings=settings,
                images=images,
                architecture=architecture,
                seed=seed,
            )
        except (GalaxyMorphologyError, ChildProcessError) as error:
            errors.append(error)
            failed[architecture] = str(error)
            _logger.error("%s: %s", architecture, error)
        else:
            models.append(reference)
    worth_another_try = [error for error in errors if not isinstance(error, InputError)]
    if worth_another_try or (errors and not models):
        raise (worth_another_try or errors)[0]
    return {"seed": seed, "models": models, "failed": failed}


def train_network(
    settings: dict[str, Any], images: dict[str, Any], architecture: Architecture, seed: int
) -> dict[str, Any]:
    """Train one network with one seed and return the reference of its model."""
    config = parse_config(settings).for_training(seed)
    prepared = Artifact.from_reference(images)
    made_from = cache_keys.model_made_from(config, prepared.key, architecture)
    with artifacts.open_draft("models", made_from, timeout_s=_TRAINING_TIMEOUT_S) as draft:
        model = draft.published or _train(draft, config, prepared, architecture)
        return model.as_reference()


def train_fold(
    settings: dict[str, Any],
    images: dict[str, Any],
    architecture: Architecture,
    seed: int,
    fold: Sequence[int],
) -> dict[str, Any]:
    """Train without one fold of the training galaxies, (index, count), and predict that.

    Return the reference of its predictions; the weights are not kept.
    """
    config = parse_config(settings).for_training(seed)
    prepared = Artifact.from_reference(images)
    made_from = cache_keys.fold_model_made_from(config, prepared.key, architecture, fold=fold)
    with artifacts.open_draft("fold_models", made_from, timeout_s=_TRAINING_TIMEOUT_S) as draft:
        model = draft.published or _train(draft, config, prepared, architecture, fold=fold)
        return model.as_reference()


def _train(
    draft: Draft,
    config: RunConfig,
    images: Artifact,
    architecture: Architecture,
    *,
    fold: Sequence[int] | None = None,
) -> Artifact:
    """Train a network and publish it."""
    from galaxy_tasks.training.ancestry import find_folder
    from galaxy_tasks.training.checkpoints import CHECKPOINT_FILES
    from galaxy_tasks.training.device import set_up_device

    device = set_up_device(config)
    from galaxy_tasks.training.galaxies import Fold
    from galaxy_tasks.training.loop import train_classifier
    from galaxy_tasks.training.model_record import WEIGHTS
    from galaxy_tasks.training.saved_model import write_model

    classes = images.manifest["summary"]["classes"]
    config = keep_handedness(config, classes)
    trained = train_classifier(
        images.path,
        architecture=architecture,
        config=config,
        classes=classes,
        device=device,
        folder=draft.path,
        start=find_folder(config.start_from, artifacts.home()) if config.start_from else None,
        fold=Fold(*fold) if fold else None,
    )
    _log_trained(architecture, trained)
    summary = write_model(
        draft.path, trained, config=config, architecture=architecture, classes=classes
    )
    discard = (*CHECKPOINT_FILES, WEIGHTS) if fold else CHECKPOINT_FILES
    return draft.publish(summary, discard=discard)


def _log_trained(architecture: Architecture, trained: "TrainedModel") -> None:
    state = trained.state
    _logger.info(
        "%s: kept epoch %d of %d, with the best mean of validation %s; trained in %s, at %s "
        "images/s.",
        *(architecture, state.best_epoch, state.epoch),
        f"loss, {state.best_loss:.3f}" if trained.votes else f"macro-F1, {state.best_macro_f1:.3f}",
        *(format_duration(state.seconds), f"{trained.images_per_s:,.0f}"),
    )


def keep_handedness(config: RunConfig, classes: Sequence[str]) -> RunConfig:
    """Return the settings without mirror images where these would turn one class into another."""
    if not is_handed(classes):
        return config
    _logger.info("Classes tell clockwise from anticlockwise: no mirror images are used.")
    return config.model_copy(update={"has_flips": False})
