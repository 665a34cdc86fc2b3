"""What a user's shell hands on and what would change how this project reads files and names."""

import locale
import os
import sys

UTF_8 = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
"""A locale that is there without being installed."""


def pin_surroundings() -> None:
    """Have this process, and all that it starts, read and write UTF-8, whatever the shell's locale.

    Java and Python would take file names apart by the shell's encoding. A process that was started
    in another encoding than UTF-8 is replaced by one that was not.
    """
    os.environ |= {"LC_ALL": UTF_8, "PYTHONUTF8": "1"}
    if not sys.flags.utf8_mode and locale.getencoding().lower() != "utf-8":
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
