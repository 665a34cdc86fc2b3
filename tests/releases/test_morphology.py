"""Which classes a mirror image would turn into each other."""

from galaxy_tasks.config import RunConfig
from galaxy_tasks.pipeline.train import keep_handedness
from galaxy_tasks.releases.morphology import Morphology, is_handed


def test_spirals_with_a_sense_of_rotation_are_handed():
    assert is_handed([Morphology.ELLIPTICAL, Morphology.SPIRAL_ANTICLOCKWISE])
    assert is_handed(["Counter-Clockwise"])
    assert not is_handed([Morphology.SPIRAL, Morphology.EDGE_ON])


def test_no_mirror_images_where_they_would_change_the_class(caplog):
    config = RunConfig()
    with caplog.at_level("INFO", logger="galaxy_tasks"):
        handed = keep_handedness(config, ["spiral_clockwise", "spiral_anticlockwise"])
    assert not handed.has_flips
    assert "no mirror images" in caplog.text
    assert keep_handedness(config, ["spiral", "edge_on"]) is config
