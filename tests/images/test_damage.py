"""What a decoder says of damage is heard; what others say comes through."""

import os
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from galaxy_tasks.images.damage import catch_damage

NOISE = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
WHOLE = cv2.imencode(".jpg", NOISE)[1]
CUT = np.concatenate([WHOLE[: len(WHOLE) // 2], WHOLE[-2:]])


def decode(data):
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def say(*lines: str) -> int:
    return os.write(2, "".join(f"{line}\n" for line in lines).encode())


def test_damage_is_heard_and_kept_from_the_standard_error(capfd):
    pixels, damage = catch_damage(lambda: decode(CUT))
    assert pixels.shape == (128, 128, 3)
    assert damage == "Corrupt JPEG data: premature end of data segment"
    assert catch_damage(lambda: decode(WHOLE))[1] == ""
    assert capfd.readouterr().err == ""


def test_bytes_between_the_last_pixels_and_the_end_are_no_damage(capfd):
    padded = np.concatenate([WHOLE[:-2], np.full(200, 7, np.uint8), WHOLE[-2:]])
    pixels, damage = catch_damage(lambda: decode(padded))
    assert np.array_equal(pixels, decode(WHOLE))
    assert damage == ""
    assert capfd.readouterr().err == ""


def test_what_is_no_damage_comes_through(capfd):
    lines = ("Unknown Adobe color transform code 7", "Corrupt JPEG data: bad Huffman code", "é")
    assert catch_damage(lambda: say(*lines))[1] == lines[1]
    assert capfd.readouterr().err == f"{lines[0]}\n{lines[2]}\n"
    say("after")
    assert capfd.readouterr().err == "after\n"


def test_an_error_of_the_decoder_leaves_the_standard_error_as_it_was(capfd):
    with pytest.raises(ZeroDivisionError):
        catch_damage(lambda: say("before") / 0)
    say("after")
    assert catch_damage(lambda: decode(WHOLE))[1] == ""
    assert capfd.readouterr().err == "before\nafter\n"


def test_threads_do_not_hear_one_another(capfd):
    with ThreadPoolExecutor(4) as threads:
        heard = list(
            threads.map(lambda data: catch_damage(lambda: decode(data))[1], [CUT, WHOLE] * 50)
        )
    assert [bool(damage) for damage in heard] == [True, False] * 50
    say("after")
    assert capfd.readouterr().err == "after\n"
