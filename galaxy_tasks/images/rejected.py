"""Why an image cannot be used, in a word for tables and a sentence for people."""

from typing import Literal

from galaxy_tasks.errors import InputError

Reason = Literal[
    "missing",  # no such file
    "unreadable",  # no permission, or no regular file
    "empty",  # no bytes at all
    "not_an_image",  # none of the formats that are read
    "truncated",  # the end is missing
    "unsupported",  # colours that cannot be converted, or several pictures
    "too_large",  # larger than max_source_side_px
    "undecodable",  # damaged inside
]


class RejectedImage(InputError):  # noqa: N818 - the word of tables and reports
    """An image cannot be used; `reason` says why in a word, `detail` what was found."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """Keep reason and detail apart, for tables."""
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        """Return both as one line."""
        return f"{self.reason}: {self.detail}"
