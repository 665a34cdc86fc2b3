from galaxy_tasks.errors import InputError


def test_a_long_error_keeps_its_beginning_and_its_end():
    assert str(InputError("short")) == "short"
    text = str(InputError("begin " + "x" * 257_000 + " end"))
    assert text.startswith("begin ")
    assert text.endswith(" end")
    assert len(text) < 4100
