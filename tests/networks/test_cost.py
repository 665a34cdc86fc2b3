"""The multiply-adds of an image are those that the papers' implementations state."""

import pytest

from galaxy_tasks.config import RunConfig
from galaxy_tasks.networks.classifier import build_classifier
from galaxy_tasks.networks.cost import count_multiply_adds


@pytest.mark.parametrize(
    ("architecture", "billions"),
    # torchvision's documentation; its ResNet-50 has the stride in another layer than the paper's,
    # 4.09, and the paper states 3.8.
    [("alexnet", 0.71), ("resnet18", 1.81), ("resnet50", 3.86), ("densenet121", 2.83)],
)
def test_multiply_adds_at_224_px_are_the_published_ones(architecture, billions):
    model = build_classifier(architecture, config=RunConfig(), num_classes=1000)
    assert count_multiply_adds(model) / 1e9 == pytest.approx(billions, abs=0.006)


def test_half_the_side_is_a_quarter_of_the_work():
    counts = [
        count_multiply_adds(
            build_classifier("resnet18", config=RunConfig(image_size_px=side), num_classes=5)
        )
        for side in (128, 64)
    ]
    assert counts[0] / counts[1] == pytest.approx(4, rel=0.01)
