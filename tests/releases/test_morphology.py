"""Which classes a mirror image would turn into each other."""

from galaxy_tasks.config import RunConfig
from galaxy_tasks.pipeline.train import _keep_handedness
from galaxy_tasks.releases.morphology import Morphology, is_handed


def test_spirals_with_a_sense_of_rotation_are_handed():
    assert is_handed([Morphology.ELLIPTICAL, Morphology.SPIRAL_ANTICLOCKWISE])
    assert is_handed(["Counter-Clockwise"])
    assert not is_handed([Morphology.SPIRAL, Morphology.EDGE_ON])


def test_no_mirror_images_where_they_would_change_the_class(capsys):
    config = RunConfig()
    handed = _keep_handedness(config, ["spiral_clockwise", "spiral_anticlockwise"])
    assert (handed.has_flips, handed.prediction_views) == (False, 4)
    assert "no mirror images" in capsys.readouterr().out
    assert _keep_handedness(config, ["spiral", "edge_on"]) is config
