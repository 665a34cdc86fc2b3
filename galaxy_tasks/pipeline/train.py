"""Trains the chosen networks of a family, each in a process of its own, and publishes them."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from galaxy_tasks.config import Architecture, Family, RunConfig, parse_config
from galaxy_tasks.errors import GalaxyMorphologyError, InputError
from galaxy_tasks.pipeline.process import run_step
from galaxy_tasks.releases.morphology import is_handed
from galaxy_tasks.storage import artifacts, cache_keys
from galaxy_tasks.storage.artifacts import Artifact

if TYPE_CHECKING:
    from galaxy_tasks.training.device import Device
    from galaxy_tasks.training.loop import TrainedModel

_TRAINING_TIMEOUT_S = 2 * 24 * 3600


def train_networks(
    family: Family, settings: dict[str, Any], images: dict[str, Any]
) -> dict[str, Any]:
    """Return {"models": [references], "failed": {architecture: error}} of the chosen networks.

    Each trains in a process of its own, because seeds, precision and GPU memory belong to a
    process. One that fails does not keep the others from training; then, if another try may help
    or none succeeded, its error is raised, and the next try finds the others finished.
    """
    models, failed = [], {}
    errors: list[Exception] = []
    for architecture in parse_config(settings).variants(family):
        try:
            reference = run_step(
                "train_network", settings=settings, images=images, architecture=architecture
            )
        except (GalaxyMorphologyError, ChildProcessError) as error:
            errors.append(error)
            failed[architecture] = str(error)
            print(f"ERROR: {architecture}: {error}", flush=True)
        else:
            models.append(reference)
    worth_another_try = [error for error in errors if not isinstance(error, InputError)]
    if worth_another_try or (errors and not models):
        raise (worth_another_try or errors)[0]
    return {"models": models, "failed": failed}


def train_network(
    settings: dict[str, Any], images: dict[str, Any], architecture: Architecture
) -> dict[str, Any]:
    """Train one network and return the reference of its model."""
    config, prepared = parse_config(settings), Artifact.from_reference(images)
    made_from = cache_keys.model_made_from(config, prepared.key, architecture)
    with artifacts.open_draft("models", made_from, timeout_s=_TRAINING_TIMEOUT_S) as draft:
        if draft.published:
            return artifacts.tell_published(draft.published)
        from galaxy_tasks.training.checkpoints import CHECKPOINT_FILES
        from galaxy_tasks.training.device import set_up_device

        device = set_up_device(config)
        from galaxy_tasks.training.loop import train_classifier
        from galaxy_tasks.training.saved_model import write_model

        started = time.monotonic()
        classes = prepared.manifest["summary"]["classes"]
        config = _keep_handedness(config, classes)
        trained = _ask_anew(made_from, config, prepared, device) or train_classifier(
            prepared.path,
            architecture=architecture,
            config=config,
            classes=classes,
            device=device,
            folder=draft.path,
        )
        summary = write_model(
            draft.path,
            trained,
            config=config,
            architecture=architecture,
            classes=classes,
        )
        print(
            f"{architecture}: best epoch {trained.state.best_epoch} with validation macro-F1 "
            f"{trained.state.best_macro_f1:.4f}; this attempt took "
            f"{time.monotonic() - started:.0f} s.",
            flush=True,
        )
        return artifacts.publish_and_tell(draft, summary, discard=CHECKPOINT_FILES)


def _ask_anew(
    made_from: dict[str, Any], config: RunConfig, prepared: Artifact, device: "Device"
) -> "TrainedModel | None":
    """Return the model that only other views keep from being this one, asked in this one's.

    None where there is none, or none that can be read: the network is trained then.
    """
    from galaxy_tasks.training.dataset import open_galaxies
    from galaxy_tasks.training.loop import TrainedModel, predict_test
    from galaxy_tasks.training.saved_model import load_classifier, read_record, read_state

    found = (artifacts.find("models", other) for other in cache_keys.other_views(made_from))
    for there in filter(None, found):
        told = f"Trained before, with other 'prediction_views': {there.path}."
        try:
            model = load_classifier(there.path)
            record, state = read_record(there.path), read_state(there.path)
        except (InputError, ValueError, KeyError, TypeError, OSError) as error:
            print(f"{told} It cannot be used: {error!r}", flush=True)
            continue
        print(f"{told} It is asked anew, with {config.prediction_views}.", flush=True)
        model.jit_compile = device.is_xla
        test = open_galaxies(prepared.path, "test")
        return TrainedModel(
            model=model,
            state=state,
            test_probabilities=predict_test(model, state=state, config=config, test=test),
            test=test,
            images_per_s=record.images_per_s,
            device=record.device,
            weights_from=record.weights_from or there.key,
        )
    return None


def _keep_handedness(config: RunConfig, classes: Sequence[str]) -> RunConfig:
    """Return the settings without mirror images where these would turn one class into another."""
    if not is_handed(classes):
        return config
    print("Classes tell clockwise from anticlockwise: no mirror images are used.", flush=True)
    views = min(config.prediction_views, 4)
    return config.model_copy(update={"has_flips": False, "prediction_views": views})
