"""OpenCL gives the processor's images, or says that it is not there."""

import os

import pytest
from fixtures.image_inputs import run_python

OPENCL_SCRIPT = """
    import cv2, numpy as np
    from dataclasses import replace
    from galaxy_tasks.config import RunConfig
    from galaxy_tasks.images.prepare import prepare_image
    from galaxy_tasks.images.settings import ImageSettings
    if not cv2.ocl.haveOpenCL():
        raise SystemExit("no OpenCL")
    rng = np.random.default_rng(5)
    worst = 0
    for side_px in (424, 423):
        y, x = np.mgrid[:side_px, :side_px]
        light = 180 * np.exp(-((x - 200) ** 2 + 3 * (y - 220) ** 2) / 3000)[..., None]
        pixels = np.clip(light + rng.normal(40, 25, (side_px, side_px, 3)), 0, 255)
        data = cv2.imencode(".jpg", pixels.astype(np.uint8))[1].tobytes()
        for method in ("none", "gaussian"):
            for crop_fraction in (1.0, 0.7, 0.5):
                for size_px in (224, 100):
                    cpu = ImageSettings.from_config(RunConfig(
                        denoise_method=method, crop_fraction=crop_fraction, image_size_px=size_px))
                    one = prepare_image(data, cpu).astype(int)
                    other = prepare_image(data, replace(cpu, opencv_device="opencl"))
                    assert cv2.ocl.useOpenCL() and other.shape == one.shape
                    worst = max(worst, abs(one - other).max())
    for method in ("median", "bilateral", "non_local_means"):
        asked = ImageSettings.from_config(RunConfig(
            denoise_method=method, image_size_px=64, opencv_device="opencl"))
        assert prepare_image(data, asked).shape == (64, 64, 3)
    print(worst)
"""


def test_opencl_agrees_with_the_processor_within_one_grey_level(tmp_path):
    result = run_python(
        OPENCL_SCRIPT, OPENCV_OPENCL_DEVICE=":CPU:", POCL_CACHE_DIR=str(tmp_path / "pocl")
    )
    if "no OpenCL" in result.stderr:
        assert os.environ.get("REQUIRE_OPENCL") != "1", "OpenCV finds no OpenCL device"
        pytest.skip(
            "OpenCV finds no OpenCL device; Debian has pocl-opencl-icd and ocl-icd-libopencl1"
        )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) <= 1


def test_opencl_that_is_not_there_is_an_error_that_says_so():
    result = run_python(
        """
        from galaxy_tasks.config import RunConfig
        from galaxy_tasks.errors import InputError
        from galaxy_tasks.images.prepare import require_opencl
        from galaxy_tasks.images.settings import ImageSettings
        try:
            require_opencl()
        except InputError as error:
            print(error)
        """,
        OPENCV_OPENCL_RUNTIME="disabled",
    )
    assert "opencv_device is 'opencl'" in result.stdout
    assert "set opencv_device to 'cpu'" in result.stdout
