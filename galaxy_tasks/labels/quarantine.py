"""The reasons for which a row of a catalogue is not used, as the quarantine table has them."""

MALFORMED = "malformed"
"""More or fewer cells than the header."""
UNREADABLE = "unreadable"
MISSING = "missing_value"
ARTIFACT = "artifact"
NO_RULE = "contested_no_rule"
SEVERAL_RULES = "contested_several_rules"
IGNORED = "ignored_class"
CONTRADICTORY = "contradictory"
DUPLICATE = "duplicate"
NO_IMAGE = "no_image"
PLACEHOLDER = "placeholder_image"
CROSSMATCHED = "crossmatched"
CROSSMATCHED_CONTRADICTORY = "crossmatched_contradictory"
NEAR_TEST = "near_test"
LEARNED = "learned_by_ancestor"
"""It would be in the test, and a model that the run starts from has learned from it, or from one
that it stays together with."""
FAULTS = (MALFORMED, UNREADABLE, MISSING)
"""Reasons that leave it open what the row says of the galaxy."""
REASONS = (
    *FAULTS,
    CONTRADICTORY,
    ARTIFACT,
    NO_RULE,
    SEVERAL_RULES,
    IGNORED,
    DUPLICATE,
    NO_IMAGE,
    PLACEHOLDER,
    CROSSMATCHED,
    CROSSMATCHED_CONTRADICTORY,
    NEAR_TEST,
    LEARNED,
)
"""Why a row is dropped. Where several reasons hold, the first in this order counts."""
