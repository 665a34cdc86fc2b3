"""Settings are refused by name, and the form is made from them."""

import pytest

from galaxy_tasks.config import (
    ARCHITECTURES,
    FAMILIES,
    PRESETS,
    RunConfig,
    default_preset,
    form_schemas,
    parse_config,
)
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.storage.cache_keys import (
    ReleaseFiles,
    images_made_from,
    labels_made_from,
    model_made_from,
)


def test_every_setting_has_a_description_and_a_place_in_the_form():
    schemas = form_schemas("full")
    assert list(schemas) == list(RunConfig.model_fields)
    for name, schema in schemas.items():
        assert schema["description"].endswith("."), name
        assert "section" in schema, name
        assert "type" in schema or "enum" in schema, name
        if schema.get("type") in ("integer", "number"):
            assert "enum" in schema or schema["description"].endswith(f" to {schema['maximum']}).")


def test_the_few_settings_that_matter_stand_on_top():
    top = [name for name, schema in form_schemas("full").items() if not schema["section"]]
    main = ["release", "source", "architectures", "image_size_px", "epochs", "repeats", "seed"]
    assert top == main


@pytest.mark.parametrize("preset", list(PRESETS))
def test_presets_are_valid_and_are_the_form_s_defaults(preset):
    defaults = {name: schema["default"] for name, schema in form_schemas(preset).items()}
    assert parse_config(defaults) == RunConfig(**PRESETS[preset])


def test_every_wrong_setting_is_named_with_what_was_received():
    with pytest.raises(InputError) as caught:
        parse_config({"image_size_px": 8, "epoch": 3, "denoise_method": "blur"})
    message = str(caught.value)
    assert "image_size_px: Input should be greater than or equal to 32. Received: 8" in message
    assert "epoch: " in message
    assert "denoise_method: Input should be 'none', 'gaussian'" in message
    assert "Received: 'blur'" in message


def test_a_release_on_disk_needs_its_folder():
    with pytest.raises(InputError, match=r"'class_table' needs 'source'.*your own"):
        parse_config({"release": "class_table"})


@pytest.mark.parametrize("name", RELEASES)
def test_a_release_needs_no_folder_where_its_images_are_among_its_files(name):
    if name in ("galaxy_zoo_1", "galaxy_zoo_hubble", "galaxy_zoo_candels", "galaxy_zoo_desi"):
        with pytest.raises(InputError, match="needs 'source'") as caught:
            parse_config({"release": name})
        told = str(caught.value)
        assert RELEASES[name].image_source in told
        assert f"galaxy-morphology releases fetch {name} --folder data" in told
        assert all(file.name in told for file in RELEASES[name].files)
    elif name != "class_table":
        assert parse_config({"release": name}).source == ""


def test_an_architecture_is_listed_once():
    with pytest.raises(InputError, match="lists a network twice"):
        parse_config({"architectures": ["alexnet", "alexnet"]})


def test_every_architecture_belongs_to_one_family():
    config = RunConfig(architectures=ARCHITECTURES)
    found = [name for family in FAMILIES for name in config.variants(family)]
    assert sorted(found) == sorted(ARCHITECTURES)


def test_the_preset_can_be_named_in_the_environment(monkeypatch):
    monkeypatch.setenv("GALAXY_PRESET", "full")
    assert default_preset() == "full"
    monkeypatch.setenv("GALAXY_PRESET", "fast")
    with pytest.raises(InputError, match=r"must be one of full, quick\. Received: 'fast'"):
        default_preset()


def test_every_setting_determines_an_artifact_or_is_known_not_to():
    files = ReleaseFiles(catalogue="", images="", mapping="", content="c")
    config = RunConfig()
    from_another = RunConfig(start_from="key", trunk_rate=0.1, target="votes")
    labels = labels_made_from(config, files, holdout_key=None)
    used = (
        {"combine", *labels}
        | set(labels["releases"][0])
        | set(images_made_from(config, files, labels_content="l"))
        | set(model_made_from(config, "i", "alexnet"))
        | set(model_made_from(from_another, "i", "resnet18"))
    )
    # Files are known by their content, workers and the bound for refusals change no result, a
    # model's key is of one repeat, and the rest belongs to other keys.
    elsewhere = {
        *("repeats", "coverage", "margin", "alpha", "require_approval"),
        *("source", "zenodo_record", "catalogue_file", "images_folder", "image_workers"),
        *("max_rejected_fraction", "simulation_seed"),
        *("architectures", "bootstrap_samples", "simulated_galaxies", "test_time_augmentation"),
    }
    assert set(RunConfig.model_fields) - used == elsewhere


def test_imagenet_weights_are_refused_before_anything_runs():
    with pytest.raises(InputError, match="no such weights are published for alexnet, resnet18"):
        parse_config({"weights": "imagenet", "architectures": ["alexnet", "resnet18", "resnet50"]})
    assert parse_config({"weights": "imagenet", "architectures": ["resnet50", "densenet121"]})


def test_a_source_needs_its_release_named():
    with pytest.raises(InputError, match="release 'simulated' is drawn"):
        parse_config({"source": "somewhere"})


@pytest.mark.parametrize(
    ("settings", "meant"),
    [
        ({"release": "galaxy_zoo2"}, "galaxy_zoo_2"),
        ({"architectures": ["resnet_18"]}, "resnet18"),
        ({"epoch": 3}, "epochs"),
        ({"combine": [{"release": "galaxy_zoo_1", "sorce": "/data"}]}, "source"),
    ],
)
def test_a_misspelt_setting_is_refused_with_the_one_that_was_meant(settings, meant):
    with pytest.raises(InputError, match=rf"Did you mean '{meant}'\?"):
        parse_config(settings)


def test_what_resembles_nothing_is_refused_without_a_guess():
    with pytest.raises(InputError) as refused:
        parse_config({"release": "photometry"})
    assert "Did you mean" not in str(refused.value)


def test_more_repeats_keep_the_seeds_of_fewer_and_every_seed_is_another():
    three, twenty = (RunConfig(seed=5, repeats=n).training_seeds for n in (3, 20))
    assert RunConfig(seed=5).training_seeds == three[:1] == (5,)
    assert twenty[:3] == three
    others = RunConfig(seed=6, repeats=20).training_seeds
    assert len({*twenty, *others}) == 40
    assert all(0 <= seed < 2**31 for seed in twenty)


def test_a_training_is_a_run_of_its_own_settings():
    config = RunConfig(repeats=3)
    seed = config.training_seeds[1]
    alone = config.for_training(seed)
    assert alone.training_seeds == (seed,)
    assert alone == RunConfig(seed=seed)


def test_samples_that_are_too_few_for_all_pairs_are_refused():
    four = ["alexnet", "resnet18", "resnet34", "densenet121"]
    assert parse_config({"architectures": four, "bootstrap_samples": 120})
    with pytest.raises(InputError, match=r"'bootstrap_samples' must be at least 6,000.*6 pairs"):
        parse_config({"architectures": four, "alpha": 0.001})
